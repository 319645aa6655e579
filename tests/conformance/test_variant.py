"""What every variant must keep: its own traits; found by listing conf/variant, so that a new one joins by itself."""

from dataclasses import replace
from functools import cache, partial
from itertools import combinations
from typing import Any

import contract
import numpy as np
import pytest
import tensorflow as tf
from contract import CHANNELS, DECAY, EPSILON
from makes import MAKES
from small import ONE_LAYER, images, rows, small_model

from bnexp.config.paths import names_in
from bnexp.engine.single_layer import LAYER
from bnexp.graph.layer import layer_maker, variant_factory
from bnexp.probe import trace_layer
from bnexp.statistics.reference import Trace, batch_mean, batch_variance

NAMES = names_in("variant")


@cache
def factory(name: str) -> Any:
    """The variant as a run has it, with the suite's decay and epsilon."""
    return variant_factory(name, decay=DECAY, epsilon=EPSILON)


@cache
def held(name: str, rank: int) -> contract.Seen:
    """What a variant did while it was held to its traits, in a Session; tests/conformance/test_engine.py compiles it."""
    return contract.hold(factory(name), rank=rank, engine="session")


@cache
def trace(name: str, rank: int = 2, decay: float = DECAY, **options) -> Trace:
    """What a variant does with the suite's inputs; options go on top of its YAML's."""
    made = partial(factory(name), **options)
    singles = contract.draw(contract.SINGLES, (1, *contract.SHAPES[rank][1:]), 2)
    return trace_layer(made, batches(rank), singles, decay=decay, epsilon=EPSILON, engine="session")


def batches(rank: int) -> np.ndarray:
    return contract.draw(contract.STEPS, contract.SHAPES[rank], 1)


@pytest.mark.parametrize("rank", [2, 4])
@pytest.mark.parametrize("name", NAMES)
def test_traits_are_true(name, rank):
    held(name, rank)


@pytest.mark.parametrize("rank", [2, 4])
def test_every_variant_is_of_one_of_the_makes(rank):
    """What a training step runs, one of the makes has all of; so what is tried with these alone holds for it too."""
    beyond = {
        name: min((held(name, rank).made_of - held(make, rank).made_of for make in MAKES), key=len) for name in NAMES
    }
    assert {name: types for name, types in beyond.items() if types} == {}


# of each way to attach updates to the train op one variant; the last has none that anybody could wait for
ATTACHED = {factory(name).func.traits.attachment: name for name in NAMES}


@pytest.mark.parametrize("name", ATTACHED.values(), ids=ATTACHED)
def test_training_moves_the_weights_of_a_network(name):
    dataset = images()
    model = small_model(dataset, f"variant={name}", "engine=session", "optimizer=sgd", ONE_LAYER["mlp"])
    before = model.state()
    model.train(dataset.x_train, dataset.y_train, rows(dataset, 2), calls=None)
    after = model.state()
    for kernel in ("dense1/kernel", "logits/kernel"):
        assert (after[kernel] != before[kernel]).any(), kernel


# control_deps_leaky disclaims more than it must: it reads after its leak, see tests/variant/test_control_deps_leaky.py
UNORDERED = {name for name in NAMES if not factory(name).func.traits.ordered} - {"control_deps_leaky"}


@pytest.mark.parametrize("name", sorted(UNORDERED))
def test_the_order_that_a_variant_disclaims_is_really_missing(name):
    with tf.Graph().as_default():
        graph = contract.in_graph(factory(name), contract.lone, (CHANNELS,))
    claims_order = replace(factory(name).func.traits, ordered=True)
    with pytest.raises(AssertionError, match=r"^nothing orders Assign(Sub)?VariableOp and \S+ on bn/moving_mean:0"):
        contract.check_order(graph, claims_order, 2)


# --- two variants that claim the same must do the same ---------------------------------------------------------------


def behaviour(name: str, rank: int) -> tuple:
    """What a variant's traits say of its numbers: two with the same claims must agree step by step."""
    traits = factory(name).func.traits
    return (
        traits.moving,
        traits.variance_ddof.get(rank),
        traits.initial_mean,
        traits.initial_variance,
        traits.training_uses,
        traits.inference_uses,
        traits.inference_updates,
        traits.ordered or name,  # what is not ordered need not agree with anything
        tuple(sorted(item for item in factory(name).keywords.items() if item[0] not in ("decay", "epsilon"))),
    )


def series(seen: contract.Seen) -> dict[str, np.ndarray]:
    """What was seen in training, then of single examples, call by call; outputs in units of gamma."""
    return {
        "train_outputs": seen.training.outputs / contract.GAMMA,
        "moving_mean": np.concatenate([seen.training.means, seen.inference.means]),
        "moving_variance": np.concatenate([seen.training.variances, seen.inference.variances]),
        "inference_outputs": seen.inference.outputs / contract.GAMMA,
    }


def diverged(one: str, other: str, rank: int = 2) -> str:
    """Says where two variants part, or nothing where they agree to within the suite's tolerance."""
    first, second = series(held(one, rank)), series(held(other, rank))
    for part, expected in first.items():
        for step, (a, b) in enumerate(zip(expected, second[part], strict=True), 1):
            # twice an output's tolerance, each being off by it at most: a hundred standard deviations at gamma 1
            if not np.allclose(a, b, rtol=contract.STATISTIC, atol=2 * contract.OUTPUT * 200):
                return f"{one} and {other} diverge in {part} at step {step}"
    return ""


@pytest.mark.parametrize("rank", [2, 4])
def test_variants_with_equal_traits_agree_step_by_step(rank):
    pairs = [pair for pair in combinations(NAMES, 2) if behaviour(pair[0], rank) == behaviour(pair[1], rank)]
    assert len(pairs) > len(NAMES)  # the right ones alone are nine
    assert [message for pair in pairs if (message := diverged(*pair, rank))] == []


def test_divergence_names_the_first_step():
    # after one step a debiased average is the batch's, a plain one a fifth of it
    assert diverged("control_deps", "zero_debias") == "control_deps and zero_debias diverge in moving_mean at step 1"
    # dense statistics are the same; the biased and the corrected variance part at the first average of images
    assert diverged("contrib", "update_ops", rank=2) == ""
    assert diverged("contrib", "update_ops", rank=4) == "contrib and update_ops diverge in moving_variance at step 1"
    assert diverged("control_deps", "always_batch").endswith("diverge in inference_outputs at step 1")


# --- cases that degenerate into another variant or into a closed form ----------------------------------------------


@pytest.mark.parametrize("name", ["contrib", "control_deps", "ema", "fused", "keras", "slim", "tflearn", "update_ops"])
@pytest.mark.parametrize("rank", [2, 4])
def test_decay_0_keeps_the_last_batch(name, rank):
    ddof = factory(name).func.traits.variance_ddof[rank]
    seen = trace(name, rank, decay=0.0)
    np.testing.assert_allclose(
        seen.moving_mean[: contract.STEPS], [batch_mean(b) for b in batches(rank)], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        seen.moving_variance[: contract.STEPS], [batch_variance(b, ddof) for b in batches(rank)], rtol=1e-5
    )


@pytest.mark.parametrize("rank", [2, 4])
def test_zero_debias_holds_the_first_batch_after_one_step(rank):
    first = batches(rank)[0]
    np.testing.assert_allclose(trace("zero_debias", rank).moving_mean[0], batch_mean(first), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(trace("zero_debias", rank).moving_variance[0], batch_variance(first), rtol=1e-5)


def same(one: Trace, other: Trace, *parts: str) -> None:
    for part in parts:
        # as in `diverged`
        np.testing.assert_allclose(getattr(one, part), getattr(other, part), rtol=1e-5, atol=4e-4, err_msg=part)


@pytest.mark.parametrize("rank", [2, 4])
def test_one_ghost_is_the_batch(rank):
    parts = "moving_mean", "moving_variance", "train_outputs", "inference_outputs"
    same(trace("ghost", rank, parts=1), trace("control_deps", rank), *parts)


@pytest.mark.parametrize("rank", [2, 4])
def test_renorm_without_room_to_correct_is_batch_norm(rank):
    tight = trace("renorm", rank, rmax=1.0, dmax=0.0)
    same(tight, trace("control_deps", rank), "moving_mean", "train_outputs")


def test_renorm_without_bounds_trains_on_what_inference_sees():
    # y = (x - moving mean) / moving stddev, of before the step; at first 0 and sqrt(1 + epsilon)
    free = trace("renorm", 2, rmax=1e9, dmax=1e9)
    expected = (batches(2)[0] - 0.0) / np.sqrt(1 + EPSILON)
    np.testing.assert_allclose(free.train_outputs[0], expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("rank", [2, 4])
def test_one_group_is_the_example(rank):
    same(trace("group_norm", rank, groups=1), trace("layer_norm", rank), "train_outputs", "inference_outputs")


def test_as_many_groups_as_channels_leave_a_dense_example_nothing():
    assert not trace("group_norm", 2, groups=CHANNELS).inference_outputs.any()


# --- one call at inference for every mode, one trace for every call ---------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_layer_claims_a_document_and_is_made_by_name(name):
    layer = layer_maker(factory(name))(LAYER, (None, 4))
    assert layer.traits.document
    assert type(layer).__doc__
