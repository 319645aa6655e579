"""Mean and variance are found by what inference does with them, whatever they are called."""

import numpy as np
import pytest
import tensorflow as tf

from bnexp.engine.single_layer import LAYER, lone_graph
from bnexp.graph.custom.statistics import MEANS, VARIANCES, by_name, by_use

v1 = tf.compat.v1

SHAPES = [(3, 4), (3, 2, 2, 4)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("mean", "variance"), [(0, 1), (3, 0), (2, 1)])
@pytest.mark.parametrize("root", [lambda v: np.sqrt(v + 1e-3), lambda v: v + 1e-3, np.sqrt])
def test_they_are_found_among_gamma_and_beta(shape, mean, variance, root):
    gamma, beta = sorted({0, 1, 2, 3} - {mean, variance})

    def infer(x, values):
        return values[gamma] * (x - values[mean]) / root(values[variance]) + values[beta]

    assert by_use(infer, 4, shape) == (mean, variance)


def test_behind_an_activation_as_well():
    def infer(x, values):
        return np.maximum(values[2] * (x - values[1]) / np.sqrt(values[0]) + values[3], 0)

    assert by_use(infer, 4, (3, 4)) == (1, 0)


def test_a_mean_that_is_divided_when_it_is_read():
    """A debiased average, or one that keeps a sum."""

    def infer(x, values):
        return (x - values[0] / 2) / np.sqrt(values[1] / 2)

    assert by_use(infer, 2, (3, 4)) == (0, 1)


def test_a_mean_alone():
    assert by_use(lambda x, values: values[0] * (x - values[1]), 2, (3, 4)) == (1, None)


@pytest.mark.parametrize(
    "infer",
    [
        lambda x, values: x * values[0] + values[1],
        lambda x, values: (x - x.mean(0)) / x.std(0) * values[0] + values[1],
        lambda x, values: x * np.nan,
        lambda x, values: np.zeros_like(x),
    ],
)
def test_where_inference_uses_none_none_is_found(infer):
    assert by_use(infer, 2, (3, 4)) == (None, None)


def named(*names):
    with tf.Graph().as_default():
        return [tf.Variable(0.0, name=name) for name in names]


@pytest.mark.parametrize(
    ("words", "names", "position"),
    [
        (MEANS, ["bn/gamma", "bn/moving_mean"], 1),
        (MEANS, ["bn/mean_of_last", "bn/mean"], 1),  # an exact name before a part of one
        (MEANS, ["bn/mean", "bn/pop_mean"], 1),  # the likelier word first
        (MEANS, ["mean/gamma", "mean/beta"], None),  # the last part alone
        (MEANS, ["bn/moments/Squeeze/ExponentialMovingAverage", "bn/mean/ExponentialMovingAverage"], 1),
        (VARIANCES, ["bn/mean", "bn/variance_old", "bn/moving_variance"], 2),
        (VARIANCES, ["bn/gamma"], None),
        (VARIANCES, [], None),
    ],
)
def test_names_are_asked_where_use_does_not_tell(words, names, position):
    assert by_name(words, named(*names)) == position


# --- in a layer -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def graph():
    """A tf.Graph of its own for each test."""
    with tf.Graph().as_default() as current:
        yield current


def variable(name, value=0.0, *, trainable=False, shape=(3,)):
    return v1.get_variable(name, shape, initializer=v1.constant_initializer(value), trainable=trainable)


def normalised(x, mean, variance):
    return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)


def statistics_of(layer, shape=(3,)):
    found = lone_graph(layer, shape, decay=0.9, epsilon=1e-3).layers[LAYER]
    return found.moving_mean.name, found.moving_variance.name


def test_names_that_say_the_opposite_mislead_nobody():
    def layer(x, training):
        mean, variance = variable("var", 0.0), variable("mean", 1.0)
        return x + 0 if training else normalised(x, mean, variance)

    assert statistics_of(layer) == ("bn/var:0", "bn/mean:0")


def test_trainable_ones_are_found_beside_gamma_and_beta():
    def layer(x, training):
        gamma, beta = variable("moving_mean", 1.0, trainable=True), variable("moving_var", 0.0, trainable=True)
        mean, variance = variable("a", 0.0, trainable=True), variable("b", 1.0, trainable=True)
        return x * gamma + beta if training else normalised(x, mean, variance) * gamma + beta

    assert statistics_of(layer) == ("bn/a:0", "bn/b:0")


def test_statistics_that_keep_their_axes():
    def layer(x, training):
        shape = (1, 1, 1, 3)
        mean, variance = variable("a", 0.0, shape=shape), variable("b", 1.0, shape=shape)
        return x + 0 if training else normalised(x, mean, variance)

    assert statistics_of(layer, (2, 2, 3)) == ("bn/a:0", "bn/b:0")


def test_averages_whose_names_are_those_of_tensors():
    """An average of a tensor has the tensor's name; here the variance's says mean, and the mean's says var."""

    def layer(x, is_training):
        mean, variance = tf.reduce_mean(x, 0), tf.math.reduce_variance(x, 0)
        mean, variance = tf.identity(mean, name="the_var"), tf.identity(variance, name="the_mean")
        average = v1.train.ExponentialMovingAverage(0.9)

        def train():
            with tf.control_dependencies([average.apply([mean, variance])]):
                return tf.identity(mean), tf.identity(variance)

        used = v1.cond(is_training, train, lambda: (average.average(mean), average.average(variance)))
        return normalised(x, *used)

    ending = "ExponentialMovingAverage:0"
    assert statistics_of(layer) == (f"bn/bn/the_var/{ending}", f"bn/bn/the_mean/{ending}")


def test_what_inference_reads_comes_before_what_has_the_better_name():
    def layer(x, training):
        variable("moving_mean"), variable("moving_variance", 1.0)
        return x + 0 if training else normalised(x, variable("a"), variable("b", 1.0))

    assert statistics_of(layer) == ("bn/a:0", "bn/b:0")


def test_statistics_that_inference_does_not_read_are_known_by_their_names():
    def layer(x, training):
        mean, variance = variable("pop_mean"), variable("pop_var", 1.0)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, tf.group(mean.assign(mean + 1), variance.assign(variance + 1)))
        return (x - tf.reduce_mean(x, 0)) * (1.0 if training else 1.5)

    assert statistics_of(layer) == ("bn/pop_mean:0", "bn/pop_var:0")


def test_a_layer_that_keeps_none_has_none():
    def layer(x, training):
        gamma, count = variable("gamma", 1.0, trainable=True), variable("count", shape=())
        return x * gamma + count if training else x * gamma - count

    made = lone_graph(layer, (3,), decay=0.9, epsilon=1e-3).layers[LAYER]
    assert not hasattr(made, "moving_mean")
    assert not hasattr(made, "moving_variance")


def test_variables_of_another_size_are_no_statistics():
    def layer(x, training):
        shift, slope = variable("mean", shape=()), variable("variance", 1.0, shape=())
        return x + 0 if training else (x - shift) / tf.sqrt(slope)

    assert not hasattr(lone_graph(layer, (3,), decay=0.9, epsilon=1e-3).layers[LAYER], "moving_mean")
