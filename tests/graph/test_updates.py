"""Which updates can be cut out of a training step, and what they need besides the moments."""

import pytest
from small import ONE_LAYER, images, small_model

from bnexp.graph.outputs import Of


def averaging(variant, network="mlp"):
    return small_model(images(), f"variant={variant}", ONE_LAYER[network], network=network).graph.averaging


@pytest.mark.parametrize("variant", ["contrib", "update_ops", "zero_debias", "trainer_ops"])
def test_updates_that_stand_apart_are_found(variant):
    found = averaging(variant)
    assert list(found.moments) == [Of("bn1", "batch_mean"), Of("bn1", "batch_variance")]
    names = {variable.name.split(":")[0] for variable in found.variables}
    assert {"bn1/moving_mean", "bn1/moving_variance"} <= names
    assert not any(word in name for name in names for word in ("kernel", "gamma", "beta", "Adam"))
    assert found.updates


def test_a_debiased_average_s_own_variables_belong_to_it():
    names = {variable.name.split(":")[0] for variable in averaging("zero_debias").variables}
    assert {"bn1/moving_mean/biased", "bn1/moving_mean/local_step"} <= names


def test_bessel_s_correction_needs_the_shape_of_the_batch():
    (shape,) = (shape for _, shape in averaging("update_ops", "cnn").shapes)
    assert shape == (None, 4, 4, 3)
    assert averaging("update_ops").shapes == ()


def test_updates_that_nothing_runs_are_no_updates():
    assert averaging("update_ops_forgotten").updates == ()


@pytest.mark.parametrize(
    "variant",
    [
        "cond",  # keeps its moments inside a branch
        "ema_unordered",  # leaves open what comes first
        "renorm",  # trains with its averages
        "ghost",  # averages other moments than those of the batch
    ],
)
def test_updates_that_do_not_stand_apart(variant):
    assert averaging(variant) is None


def test_updates_may_wait_for_the_step():
    found = averaging("ema")
    assert found.waits
    assert len(found.updates) == 4  # the batch's moments are assigned, then averaged
    assert not averaging("update_ops").waits
