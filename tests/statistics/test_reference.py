"""bnexp.statistics.reference, the ruler: held against numbers by hand, and against another ruler by another hand."""

import ast
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import reference as other_hand

from bnexp.config.paths import names_in
from bnexp.graph.layer import variant_factory
from bnexp.statistics import reference
from bnexp.statistics.reference import (
    RECURRENCES,
    batch_mean,
    batch_variance,
    ghost_moments,
    normalise,
    simulate,
    stddev_ema,
)
from bnexp.variant import Traits

# 2, then 4, then 6, averaged from 1 at a decay of 3/4
VALUES, START, DECAY = np.array([[2.0], [4.0], [6.0]]), 1.0, 0.75
BY_HAND = {
    "ema": [1.25, 1.9375, 2.953125],
    "swapped": [1.75, 3.4375, 5.359375],
    "double": [1.4375, 2.55859375, 4.064208984375],  # decay 9/16
    "never": [1, 1, 1],
    "copy": [2, 4, 6],
    "late": [1, 1.25, 1.9375],
    "zero_debias": [2, 22 / 7, 162 / 37],  # 1/2, 11/8, 81/32 over 1/4, 7/16, 37/64
    "debias_from_ones": [5, 31 / 7, 189 / 37],  # 5/4, 31/16, 189/64 over the same
    "cumulative": [2, 3, 4],
}


@pytest.mark.parametrize("name", RECURRENCES)
def test_recurrence_by_hand(name):
    np.testing.assert_allclose(RECURRENCES[name](VALUES, START, DECAY)[:, 0], BY_HAND[name], rtol=1e-15)


@pytest.mark.parametrize("name", RECURRENCES)
def test_channels_do_not_mix(name):
    both = RECURRENCES[name](np.hstack([VALUES, -3 * VALUES]), START, DECAY)
    np.testing.assert_array_equal(both[:, :1], RECURRENCES[name](VALUES, START, DECAY))
    np.testing.assert_array_equal(both[:, 1:], RECURRENCES[name](-3 * VALUES, START, DECAY))


@pytest.mark.parametrize("name", RECURRENCES)
def test_recurrence_leaves_its_values_alone(name):
    values = VALUES.copy()
    RECURRENCES[name](values, START, DECAY)
    np.testing.assert_array_equal(values, VALUES)


def test_averages_of_the_documents():
    """2, 3, 4 at .9 from 0: ExponentialMovingAverage on a tensor, plain and debiased."""
    values = np.array([[2.0], [3.0], [4.0]])
    np.testing.assert_allclose(RECURRENCES["ema"](values, 0.0, 0.9)[:, 0], [0.2, 0.48, 0.832], rtol=1e-14)
    np.testing.assert_allclose(RECURRENCES["zero_debias"](values, 0.0, 0.9)[:, 0], [2, 48 / 19, 832 / 271], rtol=1e-14)


def test_moments_by_hand():
    rows = np.float32([[1, 10], [3, 10], [8, 13]])
    np.testing.assert_array_equal(batch_mean(rows), [4, 11])
    np.testing.assert_allclose(batch_variance(rows), [26 / 3, 2])
    np.testing.assert_allclose(batch_variance(rows, ddof=1), [13, 3])
    image = rows.reshape(1, 3, 1, 2)
    np.testing.assert_array_equal(batch_mean(image), [4, 11])
    np.testing.assert_allclose(batch_variance(image, ddof=1), [13, 3])


def test_a_single_value_has_no_variance_of_either_kind():
    for ddof in (0, 1):
        np.testing.assert_array_equal(batch_variance(np.float32([[5, 7]]), ddof), [0, 0])


def test_moments_are_float64_however_large_the_mean():
    # 1, 2, 3 around ten million: float32 holds them exactly, and would lose all of their variance in squares
    rows = np.float32([[1e7 + 1], [1e7 + 2], [1e7 + 3]])
    assert batch_mean(rows).dtype == batch_variance(rows).dtype == np.float64
    assert batch_variance(rows)[0] == pytest.approx(2 / 3, rel=1e-14)


def test_normalise_by_hand():
    np.testing.assert_allclose(normalise(np.float32([[7.0]]), np.array([1.0]), np.array([8.0]), 1.0), [[2.0]])


def test_stddev_average_by_hand():
    # the stddev of 1 + .25 is averaged with that of 4 - .25 + .25: then squared, and .25 taken off again
    stddev = 0.9 * np.sqrt(1.25) + 0.1 * 2.0
    np.testing.assert_allclose(stddev_ema(np.array([[3.75]]), 0.9, 0.25), [[stddev**2 - 0.25]])
    # which is no average of variances
    assert stddev_ema(np.array([[3.75]]), 0.9, 0.25)[0, 0] < 0.9 * 1 + 0.1 * 3.75


def test_ghosts_are_interleaved_and_as_even_as_it_goes():
    rows = np.float32([[0], [1], [2], [3], [4]])
    parts = list(ghost_moments(rows, 2))
    assert [list(members) for members, _, _ in parts] == [[0, 2, 4], [1, 3]]
    np.testing.assert_allclose([[m[0], v[0]] for _, m, v in parts], [[2, 8 / 3], [2, 1]])
    assert len(list(ghost_moments(rows[:1], 4))) == 1  # of a batch smaller than its parts the empty ones are none


def inputs(rank):
    """Small batches, off-centre, unequal spreads, one mean of a hundred standard deviations; then single examples."""
    rng = np.random.default_rng(rank)
    mean, spread = [-2.0, 0.5, 300.0, 0.0], [0.05, 1.0, 3.0, 2.0]
    shape = (5, 2, 4) if rank == 4 else (4,)
    return (
        np.float32(rng.normal(mean, spread, [4, 5, *shape])),
        np.float32(rng.normal(mean, spread, [3, 1, *shape])),
    )


def held(traits, rank, options):
    """Compares `simulate` with the other hand, call by call."""
    training, inference = inputs(rank)
    found = simulate(traits, training, inference, decay=0.8, epsilon=0.02, options=options)
    layer = other_hand.Layer(traits, channels=training.shape[-1], decay=0.8, epsilon=0.02, options=options)
    for call, batch in enumerate([*training, *inference]):
        trained = call < len(training)
        outputs = found.train_outputs[call] if trained else found.inference_outputs[call - len(training)]
        allowed = layer.train(batch) if trained else layer.infer(batch)
        for value, choices in (
            (found.moving_mean[call], allowed.means),
            (found.moving_variance[call], allowed.variances),
            (outputs, allowed.outputs),
        ):
            # float64: a hundred standard deviations away, summed in another order
            best = min(choices, key=lambda choice: np.abs(value - choice).max(initial=0.0))
            np.testing.assert_allclose(value, best, rtol=1e-9, atol=1e-9, err_msg=f"call {call}")
        if len(allowed.means) > 1:
            layer.settle(found.moving_mean[call], found.moving_variance[call])


@pytest.mark.parametrize("rank", [2, 4])
@pytest.mark.parametrize("name", names_in("variant"))
def test_simulate_agrees_with_the_other_hand(name, rank):
    factory = variant_factory(name, decay=0.8, epsilon=0.02)
    options = {key: value for key, value in factory.keywords.items() if key not in ("decay", "epsilon")}
    held(factory.func.traits, rank, options)


MOVING = ("ema", "zero_debias", "stddev_ema", "never", "double", "swapped", "late", "debias_from_ones", "ghost_ema")
USES = ("batch", "moving", "ghost", "renorm", "example", "nothing")


@pytest.mark.parametrize(("moving", "training_uses"), list(product(MOVING, USES)))
def test_simulate_agrees_about_layers_that_nobody_wrote(moving, training_uses):
    for inference_uses, inference_updates in product(("moving", "batch", "example"), (False, True)):
        traits = Traits(
            moving=moving,
            training_uses=training_uses,
            inference_uses=inference_uses,
            inference_updates=inference_updates,
            variance_ddof={2: 1, 4: 1},
        )
        held(traits, 2, {"parts": 2, "groups": 2, "rmax": 1.5, "dmax": 0.5})


def test_simulate_starts_where_the_traits_say():
    training, inference = inputs(2)
    traits = Traits(initial_mean=2.0, initial_variance=0.0, inference_uses="moving")
    found = simulate(traits, training, inference, decay=0.8, epsilon=0.02)
    np.testing.assert_allclose(found.moving_mean[0], 0.8 * 2.0 + 0.2 * batch_mean(training[0]))
    np.testing.assert_allclose(found.moving_variance[0], 0.2 * batch_variance(training[0]))


def test_the_two_hands_do_not_know_each_other():
    def imported(path):
        nodes = [n for n in ast.walk(ast.parse(Path(path).read_text())) if isinstance(n, ast.Import | ast.ImportFrom)]
        return {n.module if isinstance(n, ast.ImportFrom) else n.names[0].name for n in nodes}

    assert not any(name.startswith("bnexp") for name in imported(other_hand.__file__))
    assert not any(name.startswith(("tensorflow", "bnexp")) for name in imported(reference.__file__))
