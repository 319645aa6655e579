"""From a config to objects, and what is said of a config that leads to none."""

import sys
from types import SimpleNamespace

import pytest
from small import ONE_LAYER, compose, images, small_model

from bnexp.build import build_model, check_batch_size, make
from bnexp.dataset import Dataset
from bnexp.errors import UserError


def test_a_group_becomes_what_it_names():
    assert isinstance(make(compose("dataset=constant"), "dataset"), Dataset)
    layer = make(compose("variant=ema", "decay=0.5"), "variant")(name="x")
    assert layer.name == "x"


@pytest.mark.parametrize(
    ("override", "group", "message"),
    [
        (
            "+variant.decy=1",
            "variant",
            "variant.decy=1: bnexp.variant.update_ops.BatchNorm takes no decy. Leave it out; it takes decay, epsilon.",
        ),
        (
            "+dataset.size=1",
            "dataset",
            "dataset.size=1: bnexp.dataset.digits.load takes no size. Leave it out; it takes no key.",
        ),
        (
            "variant._target_=nowhere.Layer",
            "variant",
            "variant._target_=nowhere.Layer: cannot be loaded (No module named 'nowhere'). "
            "Write the full name of a class or function that can be imported.",
        ),
        (
            "network._target_=bnexp.network.mlp.nope",
            "network",
            "network._target_=bnexp.network.mlp.nope: cannot be loaded (module 'bnexp.network.mlp' has no attribute "
            "'nope'). Write the full name of a class or function that can be imported.",
        ),
        (
            "network._target_=bnexp.network.mlp.v1.nope",
            "network",
            "network._target_=bnexp.network.mlp.v1.nope: cannot be loaded (",
        ),
    ],
)
def test_a_target_or_a_key_that_does_not_exist(override, group, message):
    with pytest.raises(UserError) as caught:
        make(compose(override), group)
    assert str(caught.value).startswith(message)


def test_a_mistake_that_the_target_finds_is_told_as_it_is():
    with pytest.raises(UserError) as caught:
        make(compose("dataset=npz", "dataset.path=none.npz"), "dataset")
    assert str(caught.value).startswith("dataset.path=none.npz: no such file")


def test_a_bug_in_a_target_keeps_its_own_type(tmp_path, monkeypatch):
    """A user's own dataset with an error of its own: no story about the configuration."""
    (tmp_path / "own_dataset.py").write_text("def load():\n    return {}['missing']\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(KeyError, match="missing"):
            make(compose("dataset._target_=own_dataset.load"), "dataset")
    finally:
        sys.modules.pop("own_dataset", None)


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
        build_model(compose(override, "batch_size=10"), images(), "/CPU:0")
    assert str(caught.value) == (
        f"network.widths must be a list of whole numbers, each 1 or more, got {got}. "
        "Write network.widths='[16,32]', one number a layer."
    )


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
        "batch_size=1: one example gives bn1 one value a channel, whose variance is 0, so that it would turn every "
        "input into its beta and nothing could be learnt. "
        "Take batch_size=2 or more; it is eval_batch_size that may be 1."
    )
    small_model(images(), "batch_size=1", ONE_LAYER["cnn"], network="cnn")


def test_a_convolution_s_single_position_is_no_batch_either():
    graph = SimpleNamespace(layer_positions={"bn1": 4, "bn2": 1})
    with pytest.raises(UserError, match=r"^batch_size=1: one example gives bn2 one value a channel"):
        check_batch_size(1, graph, images())
    check_batch_size(2, graph, images())
