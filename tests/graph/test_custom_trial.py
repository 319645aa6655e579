"""Ways are tried where nothing of it stays, and the first one in which the flag makes a difference is taken."""

import random

import numpy as np
import pytest
import tensorflow as tf

from bnexp.errors import UserError
from bnexp.graph.custom.arguments import Place
from bnexp.graph.custom.trial import adapt

v1 = tf.compat.v1

PLACE = Place("bn1", (None, 3), 0.8, 0.25)


def statistics(size=3):
    zeros, ones = v1.zeros_initializer(), v1.ones_initializer()
    return (
        v1.get_variable("moving_mean", [size], initializer=zeros, trainable=False),
        v1.get_variable("moving_variance", [size], initializer=ones, trainable=False),
    )


def test_nothing_of_a_trial_stays():
    def layer(x, training):
        mean, variance = statistics()
        random.random()
        np.random.rand()
        return tf.cond(training, lambda: x + 0, lambda: (x - mean) / tf.sqrt(variance))

    python, numpy = random.getstate(), np.random.get_state()[1].copy()
    with tf.Graph().as_default() as graph:
        adapt(layer, PLACE)
        assert graph.get_operations() == []
        assert v1.global_variables() == []
    assert random.getstate() == python
    np.testing.assert_array_equal(np.random.get_state()[1], numpy)


def test_a_way_in_which_the_flag_makes_a_difference_comes_before_an_earlier_one():
    """A tensor is true to no `is True`, so with it both towers would be the same."""

    def layer(x, training):
        return x if training is True else x + 1

    assert adapt(layer, PLACE).way.flag.words == "training=True"


def test_where_the_flag_makes_none_the_first_way_is_taken():
    assert adapt(lambda x, mode="train": x, PLACE).way.flag.words == "mode='train'"


def test_the_error_is_that_of_the_likeliest_way_which_is_not_about_the_flag():
    def layer(x, training):
        return x * [][0] if training else x

    with pytest.raises(UserError) as caught:
        adapt(layer, PLACE)
    told = str(caught.value).splitlines()
    assert told[1].startswith(f"  {__file__}, line ")
    assert told[2:] == [
        "    return x * [][0] if training else x",
        "IndexError: list index out of range",
        "It was tried with inputs [?, 3] and training=True.",
    ]


@pytest.mark.parametrize("size", ["x.get_shape()[-1].value", "x.shape[-1].value", "x.shape.dims[-1].value"])
def test_shapes_have_the_value_that_they_had_in_tensorflow_1(size):
    def layer(x, training):
        mean, variance = statistics(eval(size, {"x": x}))
        return x if training else (x - mean) / tf.sqrt(variance)

    found = adapt(layer, PLACE)
    assert found.way.dimensions == (size != "x.shape.dims[-1].value")
    assert [birth.name for birth in found.statistics] == ["bn1/moving_mean:0", "bn1/moving_variance:0"]
    # and for nobody else
    assert type(tf.TensorShape([3])[0]) is int


def test_shapes_are_as_before_after_a_layer_that_fails_with_those_of_tensorflow_1():
    def layer(x, training):
        raise ValueError(x.shape[-1].value)

    with pytest.raises(UserError, match="ValueError: 3"):
        adapt(layer, PLACE)
    assert type(tf.TensorShape([3])[0]) is int


def test_a_layer_that_can_infer_no_three_examples_is_known_by_names():
    def layer(x, training):
        mean, variance = statistics()
        x = tf.ensure_shape(x, [7, 3])
        return x + 0 if training else (x - mean) / tf.sqrt(variance)

    assert [birth.name for birth in adapt(layer, PLACE).statistics] == ["bn1/moving_mean:0", "bn1/moving_variance:0"]


def test_a_statistic_is_known_again_by_its_call_and_its_place_in_it():
    def layer(x, training):
        gamma = v1.get_variable("gamma", [3], initializer=v1.ones_initializer())
        mean, variance = statistics()
        return x * gamma if training else gamma * (x - mean) / tf.sqrt(variance)

    mean, variance = adapt(layer, PLACE).statistics
    assert (mean.call, mean.position, mean.count) == (1, 1, 3)
    assert (variance.call, variance.position, variance.count) == (1, 2, 3)


def test_a_layer_of_images_is_tried_with_images():
    shapes = []

    def layer(x, training):
        shapes.append(x.shape.as_list())
        return x if training else x + 1

    adapt(layer, Place("bn1", (None, 4, 5, 3)))
    assert all(shape == [None, 4, 5, 3] for shape in shapes)
