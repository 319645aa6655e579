"""What both engines promise of variables: named alike, read as copies, set by name."""

import numpy as np
import pytest
import tensorflow as tf
from small import ONE_LAYER, images, rows, small_model

from bnexp.engine import by_name

v1 = tf.compat.v1


@pytest.fixture(params=["compiled", "session"])
def model(request):
    return small_model(images(), f"engine={request.param}", "optimizer=momentum", ONE_LAYER["mlp"])


def test_every_variable_is_in_the_state_and_named_alike():
    names = [
        set(small_model(images(), f"engine={engine}", "optimizer=momentum", ONE_LAYER["mlp"]).state())
        for engine in ("compiled", "session")
    ]
    trainable = {"dense1/kernel", "bn1/gamma", "bn1/beta", "logits/kernel", "logits/bias"}
    # weights, their slots, and the statistics: nothing that a run goes on from is missing
    expected = trainable | {f"{name}/Momentum" for name in trainable} | {"bn1/moving_mean", "bn1/moving_variance"}
    assert names == [expected, expected]


def test_the_state_is_a_copy(model):
    before = model.state()
    for value in before.values():
        if value.flags.writeable:
            value[...] = 77.0
    for name, value in model.state().items():
        assert not np.any(value == 77.0), name


def test_the_state_does_not_follow_training(model):
    dataset = images()
    before = model.state()
    kept = {name: value.copy() for name, value in before.items()}
    model.train(dataset.x_train, dataset.y_train, rows(dataset, 2), calls=None)
    after = model.state()
    for name, value in kept.items():
        np.testing.assert_array_equal(before[name], value)
        assert (after[name] != value).any(), name


def test_outputs_are_copies(model):
    dataset = images()
    first = model.predict(dataset.x_test, batch_size=30)
    kept = first.copy()
    first[...] = 0.0
    np.testing.assert_array_equal(model.predict(dataset.x_test, batch_size=30), kept)


def test_assign_sets_what_is_named_and_nothing_else(model):
    before = model.state()
    wanted = np.arange(5, dtype=np.float32)
    model.assign({"bn1/beta": wanted})
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, wanted if name == "bn1/beta" else before[name])


def test_names_given_twice_are_numbered():
    with tf.Graph().as_default():
        variables = [v1.Variable(float(i), name=name) for i, name in enumerate(["a", "b"])]
        # a graph numbers its own names; two variables of one name come from eager building
        twin = type("Twin", (), {"name": "a:0"})
        named, names = by_name([*variables, twin])
    assert list(named) == ["a", "b", "a_1"]
    assert names[id(twin)] == "a_1"
    assert named["a"] is variables[0]
