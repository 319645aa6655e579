"""Keras layers, and what holds or makes them: their assignments run in training, and only there."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from bnexp.engine.single_layer import LAYER, lone_layer, run_calls
from bnexp.graph import Of
from bnexp.graph.custom.arguments import Place
from bnexp.graph.custom.keras_layer import holds_keras_layer, is_keras_layer, is_of_tensorflow_2, model_of
from bnexp.graph.custom.made import Made
from bnexp.graph.custom.trial import adapt
from bnexp.graph.layer import taken_by
from bnexp.statistics.reference import batch_mean, batch_variance, ema, normalise

v1 = tf.compat.v1

DECAY, EPSILON = 0.75, 0.01
BATCHES = np.float32(np.random.default_rng(5).normal([1.0, -2.0, 30.0], [1.0, 0.5, 3.0], [4, 6, 3]))
MEANS = ema(np.array([batch_mean(batch) for batch in BATCHES]), 0.0, DECAY)
VARIANCES = ema(np.array([batch_variance(batch) for batch in BATCHES]), 1.0, DECAY)

BatchNormalization = keras.layers.BatchNormalization


class ByHand(keras.layers.Layer):
    def __init__(self, momentum=0.99, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, shape):
        self.mean = self.add_weight(name="mean", shape=shape[-1:], initializer="zeros", trainable=False)
        self.var = self.add_weight(name="var", shape=shape[-1:], initializer="ones", trainable=False)

    def call(self, inputs, training=None):
        mean, var = self.mean, self.var
        if training:
            mean, var = ops.moments(inputs, axes=list(range(len(inputs.shape) - 1)))
            self.mean.assign(self.mean * self.momentum + mean * (1 - self.momentum))
            self.var.assign(self.var * self.momentum + var * (1 - self.momentum))
        return (inputs - mean) / ops.sqrt(var + self.epsilon)


class WithKwargs(BatchNormalization):
    def __init__(self, note="", **kwargs):
        super().__init__(**kwargs)


class Wrapper(keras.layers.Layer):
    def __init__(self, momentum=0.99, epsilon=1e-3):
        super().__init__()
        self.norm = BatchNormalization(momentum=momentum, epsilon=epsilon)

    def call(self, inputs):
        return self.norm(inputs)


class PlainWrapper:
    """An object of no Keras class that holds a Keras layer."""

    def __init__(self, momentum=0.99, epsilon=1e-3):
        self.norm = BatchNormalization(momentum=momentum, epsilon=epsilon)

    def __call__(self, x, training):
        return self.norm(x, training=training)


def model(momentum=0.99, epsilon=1e-3):
    return keras.Sequential([BatchNormalization(momentum=momentum, epsilon=epsilon)])


def made_and_called(x, momentum=0.99, epsilon=1e-3):
    return BatchNormalization(momentum=momentum, epsilon=epsilon)(x)


def made_and_called_with_a_flag(x, training, momentum=0.99, epsilon=1e-3):
    return BatchNormalization(momentum=momentum, epsilon=epsilon)(x, training=training)


class Module(tf.Module):
    """Of TensorFlow 2, where an assignment runs wherever it stands."""

    def __init__(self, num_features, momentum=0.99, eps=1e-3):
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.mean = tf.Variable(tf.zeros([num_features]), trainable=False)
        self.var = tf.Variable(tf.ones([num_features]), trainable=False)

    def __call__(self, x, training):
        mean, var = self.mean, self.var
        if training:
            mean, var = tf.nn.moments(x, list(range(x.shape.rank - 1)))
            self.mean.assign(self.mean * self.momentum + mean * (1 - self.momentum))
            self.var.assign(self.var * self.momentum + var * (1 - self.momentum))
        return tf.nn.batch_normalization(x, mean, var, None, None, self.eps)


FACTORIES = [
    BatchNormalization,
    ByHand,
    WithKwargs,
    Wrapper,
    PlainWrapper,
    model,
    made_and_called,
    made_and_called_with_a_flag,
    Module,
]


@pytest.mark.parametrize("factory", FACTORIES)
def test_training_averages_and_inference_reads_and_leaves_them(factory):
    engine = lone_layer(factory, (3,), engine="session", decay=DECAY, epsilon=EPSILON)
    trained = run_calls(engine, engine.graph.train, BATCHES)
    np.testing.assert_allclose(trained[Of(LAYER, "moving_mean")], MEANS, rtol=1e-4)
    np.testing.assert_allclose(trained[Of(LAYER, "moving_variance")], VARIANCES, rtol=1e-4)
    expected = normalise(BATCHES[3], batch_mean(BATCHES[3]), batch_variance(BATCHES[3]), EPSILON)
    np.testing.assert_allclose(trained["outputs"][3], expected, rtol=1e-3, atol=1e-4)
    inferred = run_calls(engine, engine.graph.inference, BATCHES[:1])
    np.testing.assert_allclose(
        inferred["outputs"][0], normalise(BATCHES[0], MEANS[3], VARIANCES[3], EPSILON), rtol=1e-3
    )
    np.testing.assert_array_equal(inferred[Of(LAYER, "moving_mean")][0], trained[Of(LAYER, "moving_mean")][3])


@pytest.mark.parametrize("factory", FACTORIES)
def test_decay_and_epsilon_reach_it(factory):
    engine = lone_layer(factory, (3,), engine="session", decay=DECAY, epsilon=EPSILON)
    assert taken_by(engine.graph.layers[LAYER]) == {"decay", "epsilon"}


def test_a_function_that_makes_and_calls_a_layer_becomes_a_model_of_one():
    place = Place("bn1", (None, 3), DECAY, EPSILON)
    assert adapt(made_and_called, place).way.kind == "keras"
    with tf.Graph().as_default():
        thing = Made(adapt(made_and_called, place).way, place).thing
        assert [type(layer).__name__ for layer in thing.layers] == ["InputLayer", "BatchNormalization"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        lambda x: tf.nn.relu(x),
        lambda x: keras.layers.Activation("relu")(x),
        lambda x: keras.layers.BatchNormalization(),
        lambda x: 3,
    ],
)
def test_what_makes_no_layer_with_weights_becomes_none(function):
    assert model_of(function, (None, 3)) is None


def test_what_is_or_holds_a_keras_layer():
    layer = BatchNormalization()
    assert is_keras_layer(layer)
    assert is_keras_layer(BatchNormalization)
    assert is_keras_layer(model())
    assert not is_keras_layer(tf.Module())
    assert not is_keras_layer(type("Layer", (), {}))
    for held in (layer, [layer], {"norm": layer}):
        thing = type("Own", (), {})()
        assert not holds_keras_layer(thing)
        thing.norm = held
        assert holds_keras_layer(thing)


def test_what_is_written_for_tensorflow_2():
    assert is_of_tensorflow_2(Module(3))

    def of_tensorflow_1(x):
        return v1.get_variable("x", [3])

    # its module knows v1, as that of every layer of TensorFlow 1 does
    assert not is_of_tensorflow_2(of_tensorflow_1)
    source = "import tensorflow as tf\ndef new(x): return tf.identity(x)\ndef old(x): return tf.compat.v1.identity(x)"
    space = {}
    exec(source, space)
    assert is_of_tensorflow_2(space["new"])
    assert not is_of_tensorflow_2(space["old"])


def test_an_assignment_in_a_bare_tensorflow_1_function_is_left_to_its_user():
    """Where nothing waits for it, it never runs: that is the mistake that bnexp is there to show."""

    def layer(x, training, decay=0.9):
        with v1.variable_scope("own", reuse=v1.AUTO_REUSE):
            mean = v1.get_variable("mean", [3], initializer=v1.zeros_initializer(), trainable=False)
            var = v1.get_variable("var", [3], initializer=v1.ones_initializer(), trainable=False)
        if not training:
            return tf.nn.batch_normalization(x, mean, var, None, None, 1e-3)
        batch = tf.nn.moments(x, [0])
        mean.assign(decay * mean + (1 - decay) * batch[0])
        var.assign(decay * var + (1 - decay) * batch[1])
        return tf.nn.batch_normalization(x, *batch, None, None, 1e-3)

    engine = lone_layer(layer, (3,), engine="session", decay=DECAY, epsilon=EPSILON)
    trained = run_calls(engine, engine.graph.train, BATCHES)
    np.testing.assert_array_equal(trained[Of(LAYER, "moving_mean")], np.zeros([4, 3]))
