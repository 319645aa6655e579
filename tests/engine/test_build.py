"""From settings and a dataset to a model, and what is said where the two do not fit."""

from types import SimpleNamespace

import pytest
from small import ONE_LAYER, images, settings, small_model

from bnexp.engine.build import build_model, check_batch_size
from bnexp.errors import UserError


@pytest.mark.parametrize(
    ("override", "got"),
    [
        ("network.widths=[]", "[]"),
        ("network.widths=5", "5"),
        ("network.widths=[3,0]", "[3, 0]"),
        ("network.widths=[3,-1]", "[3, -1]"),
        ("network.widths=[2.5]", "[2.5]"),
        ("network.widths=[a]", "['a']"),
        ("network.widths=[true]", "[True]"),
        ("network.widths=null", "None"),
    ],
)
def test_sizes_that_no_layer_can_have(override, got):
    with pytest.raises(UserError) as caught:
        build_model(settings(override, "batch_size=10"), images(), "/CPU:0")
    assert str(caught.value) == (
        f"network.widths must be a list of whole numbers, each 1 or more, got {got}. "
        "Write network.widths='[16,32]', one number a layer."
    )


def test_a_variant_runs_its_updates_in_its_own_way():
    with pytest.raises(UserError) as caught:
        small_model(images(), "updates=minimize")
    assert str(caught.value) == (
        "updates=minimize is for a layer of your own: bnexp.variant.update_ops.BatchNorm runs its updates in its own "
        "way. Leave updates out."
    )
    small_model(images(), "updates=auto", ONE_LAYER["mlp"])


def test_a_batch_larger_than_the_data():
    with pytest.raises(UserError) as caught:
        small_model(images(), "batch_size=61")
    assert str(caught.value) == (
        "batch_size must be at most the number of training examples, 60, got 61. "
        "Take a smaller batch or a larger dataset."
    )
    small_model(images(), "batch_size=60", ONE_LAYER["mlp"])


def test_a_dense_layer_refuses_single_examples_and_a_convolution_takes_them():
    with pytest.raises(UserError) as caught:
        small_model(images(), "batch_size=1")
    assert str(caught.value) == (
        "batch_size=1: one example gives bn1 one value a channel, whose variance is 0: every output would be its beta, "
        "and nothing could be learnt. "
        "Take batch_size=2 or more; it is eval_batch_size that may be 1."
    )
    small_model(images(), "batch_size=1", ONE_LAYER["cnn"], network="cnn")


def test_a_convolution_s_single_position_is_no_batch_either():
    graph = SimpleNamespace(layer_positions={"bn1": 4, "bn2": 1})
    with pytest.raises(UserError, match=r"^batch_size=1: one example gives bn2 one value a channel"):
        check_batch_size(1, graph, images())
    check_batch_size(2, graph, images())
