"""From a config to objects, and what is said of a config that leads to none."""

import gc
import sys
import weakref
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from small import ONE_LAYER, compose, images, rows, small_model

from bnexp import build as module
from bnexp.build import build_model, check_batch_size, kept_model, make
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


@pytest.fixture
def nothing_kept(monkeypatch):
    monkeypatch.setattr(module, "_kept", {})


JOB = ("network.widths=[4]", "batch_size=10")


def trained(model, dataset):
    """Everything that 110 steps leave behind, bit by bit."""
    steps = model.train(dataset.x_train, dataset.y_train, rows(dataset, 110), calls=50)
    return {"loss": steps.losses, **steps.statistics, **model.state()}


@pytest.mark.parametrize("engine", ["compiled", "session"])
def test_a_kept_model_is_as_good_as_a_new_one(nothing_kept, engine):
    """With another seed, and with the first once more: the same bits as a model that was built for it."""
    dataset = images()
    models = []
    for seed in (0, 1, 0):
        config = compose(*JOB, f"engine={engine}", f"seed={seed}", f"steps={100 + seed}", "final_pass=paper")
        models.append(kept_model(config, dataset, "/CPU:0"))
        found, fresh = trained(models[-1], dataset), trained(build_model(config, dataset, "/CPU:0"), dataset)
        assert list(found) == list(fresh)
        for name, value in fresh.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert models[0] is models[1] is models[2]
    if engine == "compiled":
        (program,) = models[0]._programs.values()
        assert len(program._traced) == 1


@pytest.mark.parametrize(
    "override",
    ["decay=0.5", "epsilon=0.1", "variant=contrib", "network.widths=[5]", "optimizer=sgd", "learning_rate=0.3"],
)
def test_another_graph_is_another_model(nothing_kept, override):
    first = kept_model(compose(*JOB), images(), "/CPU:0")
    assert kept_model(compose(*JOB, override), images(), "/CPU:0") is not first
    assert kept_model(compose(*JOB), images(), "/CPU:0") is first


def test_only_the_last_models_are_kept(nothing_kept):
    first = weakref.ref(kept_model(compose(*JOB), images(), "/CPU:0"))
    for decay in (0.1, 0.2):
        kept_model(compose(*JOB, f"decay={decay}"), images(), "/CPU:0")
    gc.collect()
    assert first() is None
    assert len(module._kept) == module.MOST_KEPT


def test_a_batch_too_small_is_told_of_a_kept_model_too(nothing_kept):
    kept_model(compose(*JOB), images(), "/CPU:0")
    with pytest.raises(UserError, match="batch_size=1:"):
        kept_model(compose(*JOB, "batch_size=1"), images(), "/CPU:0")


def never_the_same(inputs, *, batch_norm, num_classes, seed, **unused):
    """A network whose variables never have the same name twice."""
    name = f"kernel{next(numbers)}"
    features = batch_norm(tf.reshape(inputs, [-1, 32]), "bn1")
    with tf.compat.v1.variable_scope("", reuse=tf.compat.v1.AUTO_REUSE):
        return features @ tf.compat.v1.get_variable(name, initializer=np.ones([32, num_classes], np.float32))


numbers = count()


def test_what_cannot_be_drawn_again_is_built_again(nothing_kept):
    config = compose(*JOB, f"network._target_={__name__}.never_the_same")
    first = kept_model(config, images(), "/CPU:0")
    assert kept_model(config, images(), "/CPU:0") is not first
