"""What a layer normalised with: each way is recognised as itself, and next to nothing is taken for it."""

import numpy as np
import pytest

from bnexp.diagnosis.ghosts import CUTS, Cut
from bnexp.diagnosis.normalisation import (
    Affine,
    acting_epsilon,
    gradient_uses,
    inference_uses,
    training_uses,
    with_ghosts,
)
from bnexp.statistics import reference
from bnexp.statistics.reference import batch_mean, batch_variance, normalise

RNG = np.random.default_rng(7)
EPSILON = 0.1

# means, spreads and sizes that differ from call to call; the last channel hundreds of standard deviations from 0
BATCHES = [
    np.float32(RNG.normal(RNG.normal([-12.0, 0.5, 300.0]), RNG.uniform(0.5, 2.0, 3), [size, 3])) for size in (8, 12) * 4
]
MEANS, VARIANCES = (np.array([moment(batch) for batch in BATCHES]) for moment in (batch_mean, batch_variance))


@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 1e-3, 0.05])
def test_acting_epsilon(epsilon):
    outputs = [0.7 * normalise(b, batch_mean(b), batch_variance(b), epsilon) - 2 for b in BATCHES]
    assert acting_epsilon(BATCHES, outputs, 0.1) == pytest.approx(epsilon, abs=1e-6)


def test_no_epsilon_explains_what_is_not_normalised():
    assert acting_epsilon(BATCHES, BATCHES, 0.1) == 0.1  # slope 1 whatever the variance
    assert acting_epsilon(BATCHES, [np.zeros_like(b) for b in BATCHES], 0.1) == 0.1


# --- outputs -----------------------------------------------------------------------------------------------------------

# before the first call and after each
MOVING = [
    np.concatenate([np.full([1, 3], start), reference.ema(values, start, 0.9)])
    for values, start in ((MEANS, 0.0), (VARIANCES, 1.0))
]
GAMMA, BETA = np.array([0.5, -2.0, 1.0]), np.array([1.0, 0.0, -3.0])


def affine(parts):
    return [np.float32(GAMMA * part + BETA) for part in parts]


def own(batch):
    return normalise(batch, batch_mean(batch), batch_variance(batch), EPSILON)


def test_the_batch():
    outputs = affine(own(batch) for batch in BATCHES)
    assert training_uses(BATCHES, outputs, *MOVING, EPSILON) == "batch"


@pytest.mark.parametrize(("mean_after", "variance_after"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_moving_statistics_before_after_or_torn(mean_after, variance_after):
    means, variances = MOVING[0][mean_after:], MOVING[1][variance_after:]
    outputs = affine(normalise(b, m, v, EPSILON) for b, m, v in zip(BATCHES, means, variances, strict=False))
    assert training_uses(BATCHES, outputs, *MOVING, EPSILON) == "moving"


CUT = [
    Cut(**size, contiguous=runs)
    for runs in (False, True)
    for size in ({"parts": 2}, {"parts": 4}, {"parts": 8}, {"size": 2}, {"size": 4})
]


@pytest.mark.parametrize("cut", CUT, ids=str)
def test_ghosts(cut):
    outputs = affine(with_ghosts(batch, cut, EPSILON).values for batch in BATCHES)
    assert training_uses(BATCHES, outputs, *MOVING, EPSILON) == "ghost"


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_interleaved_ghosts_are_those_of_the_reference(parts):
    """Each with the moments of `reference.ghost_moments`, written here from its rows."""
    for batch in BATCHES:
        expected = np.empty(batch.shape)
        for rows, mean, variance in reference.ghost_moments(batch, parts):
            expected[rows] = normalise(batch[rows], mean, variance, EPSILON)
        np.testing.assert_allclose(with_ghosts(batch, Cut(parts), EPSILON).values, expected, rtol=1e-12)


def test_ways_to_cut_ghosts():
    cut = {(c.parts, c.size, c.contiguous): [rows.tolist() for rows in c.rows(5)] for c in CUTS}
    assert cut[2, 0, False] == [[0, 2, 4], [1, 3]]
    assert cut[2, 0, True] == [[0, 1, 2], [3, 4]]
    assert cut[0, 2, False] == [[0, 2, 4], [1, 3]]
    assert cut[0, 4, True] == [[0, 1, 2, 3, 4]]
    # no more ghost batches than rows, and every row in one
    assert cut[8, 0, False] == cut[8, 0, True] == [[0], [1], [2], [3], [4]]
    assert all(sorted(row for rows in parts for row in rows) == [0, 1, 2, 3, 4] for parts in cut.values())


@pytest.mark.parametrize(("rmax", "dmax"), [(3.0, 5.0), (1.1, 0.1)])
def test_renormalisation_by_its_bounds(rmax, dmax):
    outputs = []
    for batch, mean, variance in zip(BATCHES, *MOVING, strict=False):
        scale = np.sqrt(variance + EPSILON)
        r = np.clip(np.sqrt(batch_variance(batch) + EPSILON) / scale, 1 / rmax, rmax)
        d = np.clip((batch_mean(batch) - mean) / scale, -dmax, dmax)
        outputs.append(np.float32(own(batch) * r + d))
    assert training_uses(BATCHES, outputs, *MOVING, EPSILON) == "renorm"


def strange_outputs():
    yield "constant", [np.ones_like(batch) for batch in BATCHES]
    yield "zero", [np.zeros_like(batch) for batch in BATCHES]
    yield "the inputs", BATCHES
    stddev = [np.sqrt(batch_variance(batch)) for batch in BATCHES]
    yield "epsilon outside", [(b - batch_mean(b)) / (s + EPSILON) for b, s in zip(BATCHES, stddev, strict=True)]
    yield "another gamma each call", [own(batch) * (1 + 0.01 * call) for call, batch in enumerate(BATCHES)]
    yield "noise", [np.float32(RNG.normal(size=batch.shape)) for batch in BATCHES]


@pytest.mark.parametrize(
    ("kind", "outputs"), list(strange_outputs()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_none_of_them(kind, outputs):
    assert training_uses(BATCHES, outputs, *MOVING, EPSILON) == "unknown"


def test_without_statistics_there_is_nothing_to_compare_with():
    none = np.zeros([9, 0])
    assert training_uses(BATCHES, affine(own(b) for b in BATCHES), none, none, EPSILON) == "batch"
    assert training_uses(BATCHES, BATCHES, none, none, EPSILON) == "unknown"


SINGLES = [batch[:1] for batch in BATCHES]
MET = [(RNG.normal([-12.0, 0.5, 300.0]), RNG.uniform(0.05, 4.0, 3)) for _ in BATCHES]
LEFT = [(0.9 * mean + 0.1 * batch_mean(x), 0.9 * variance) for x, (mean, variance) in zip(SINGLES, MET, strict=True)]


@pytest.mark.parametrize("debias", [1.0, 0.57])
def test_inference_that_follows_the_statistics_it_meets(debias):
    outputs = affine(normalise(x, m / debias, v / debias, EPSILON) for x, (m, v) in zip(SINGLES, MET, strict=True))
    uses, fitted = inference_uses(SINGLES, outputs, MET, MET, EPSILON, 0.57, None)
    assert uses == ("moving" if debias == 1 else "moving_debiased")
    np.testing.assert_allclose([fitted.gamma, fitted.beta], [GAMMA, BETA], rtol=1e-3, atol=1e-3)


def test_of_two_explanations_the_one_with_the_gamma_of_training_is_taken():
    """x - (.9 mean + .1 x) is .9 (x - mean): reading after a leak, or before it with a smaller gamma."""
    outputs = affine(normalise(x, m, v, EPSILON) for x, (m, v) in zip(SINGLES, LEFT, strict=True))
    trained = Affine(GAMMA, BETA)
    uses, fitted = inference_uses(SINGLES, outputs, MET, LEFT, EPSILON, 0.57, trained)
    assert uses == "moving"
    assert fitted.agrees(trained)
    other = Affine(2 * GAMMA, BETA)
    assert not inference_uses(SINGLES, outputs, MET, LEFT, EPSILON, 0.57, other)[1].agrees(other)


def test_inference_that_does_not_follow_them():
    fixed = MET[0]
    outputs = affine(normalise(x, *fixed, EPSILON) for x in SINGLES)
    assert inference_uses(SINGLES, outputs, MET, MET, EPSILON, 0.57, None) == ("unknown", None)


# --- gradients ---------------------------------------------------------------------------------------------------------


def central_differences(function, batch):
    gradient = np.zeros(batch.shape)
    for index in np.ndindex(batch.shape):
        step = np.zeros(batch.shape)
        step[index] = 1e-4
        gradient[index] = (function(batch + step) - function(batch - step)) / 2e-4
    return gradient


def test_gradients_are_those_of_finite_differences():
    batch, weights = np.float64(BATCHES[0]), RNG.normal(size=BATCHES[0].shape)
    through = central_differences(lambda x: np.sum(weights * GAMMA * own(x)), batch)
    mean, variance = batch_mean(batch), batch_variance(batch)
    constants = central_differences(lambda x: np.sum(weights * GAMMA * normalise(x, mean, variance, EPSILON)), batch)
    seen = [gradient_uses(batch, weights, found, EPSILON, GAMMA) for found in (through, constants)]
    assert seen == ["batch", "constants"]
    assert gradient_uses(batch, weights, 0 * through, EPSILON, GAMMA) == "nothing"
    assert gradient_uses(batch, weights, through + constants, EPSILON, GAMMA) == "unknown"
