"""What a layer draws follows from the run's seed, and nobody else's draws change by it."""

import random

import numpy as np
import pytest
import tensorflow as tf

from bnexp.engine.single_layer import LAYER, lone_graph
from bnexp.graph.build import build_graph
from bnexp.graph.custom.seeds import seeded
from bnexp.graph.layer import layer_maker

v1 = tf.compat.v1


def by_tensorflow(shape):
    return v1.get_variable("gamma", shape, initializer=v1.random_normal_initializer(1.0, 0.1))


def by_an_op(shape):
    return tf.Variable(tf.random.normal(shape), name="gamma")


def by_keras(shape):
    return v1.get_variable("gamma", shape, initializer=tf.keras.initializers.RandomNormal(seed=None))


def by_numpy(shape):
    return tf.Variable(np.float32(np.random.normal(size=shape)), name="gamma")


def by_python(shape):
    return tf.Variable([random.random() for _ in range(shape[0])], name="gamma")


def drawn(draw, seed):
    """Builds a layer with a drawn gamma and returns it."""

    def layer(x, is_training):
        return x * draw([3]) * tf.cast(is_training, tf.float32)

    def network(inputs, *, batch_norm, num_classes, seed):
        return batch_norm(inputs, LAYER)

    with tf.Graph().as_default(), v1.Session() as session:
        make = layer_maker(layer, seed=seed)
        options = {"example_shape": (3,), "num_classes": 3, "seed": seed}
        (gamma,) = build_graph(network, make, v1.train.GradientDescentOptimizer(0.1), **options).layers[LAYER].born[1]
        session.run(v1.global_variables_initializer())
        return session.run(gamma)


@pytest.mark.parametrize("draw", [by_tensorflow, by_an_op, by_keras, by_numpy, by_python])
def test_equal_seeds_draw_equally_and_others_otherwise(draw):
    first = drawn(draw, 3)
    assert len(set(first)) == 3
    np.testing.assert_array_equal(drawn(draw, 3), first)
    assert np.all(drawn(draw, 4) != first)


def test_python_s_and_numpy_s_states_and_the_graph_s_seed_are_put_back():
    random.seed(11)
    np.random.seed(11)
    expected = random.random(), np.random.rand()
    random.seed(11)
    np.random.seed(11)
    with tf.Graph().as_default() as graph:
        graph.seed = 5
        with seeded(0):
            assert graph.seed == 0
            random.random()
            np.random.rand(10)
        assert graph.seed == 5
    assert (random.random(), np.random.rand()) == expected


def draws_and_fails():
    random.random()
    np.random.rand(10)
    raise KeyError


def test_they_are_put_back_after_an_exception():
    python, numpy = random.getstate(), np.random.get_state()[1].copy()
    with tf.Graph().as_default() as graph:
        with pytest.raises(KeyError), seeded(0):
            draws_and_fails()
        assert graph.seed is None
    assert random.getstate() == python
    np.testing.assert_array_equal(np.random.get_state()[1], numpy)


def test_building_a_layer_that_draws_leaves_others_draws_alone():
    random.seed(7)
    np.random.seed(7)
    expected = random.random(), np.random.rand()
    random.seed(7)
    np.random.seed(7)
    with tf.Graph().as_default():
        lone_graph(lambda x, training: x * by_numpy([3]) * by_python([3]), (3,), decay=0.9, epsilon=1e-3)
    assert (random.random(), np.random.rand()) == expected


def test_every_op_that_draws_has_a_seed():
    """Where every op has to be deterministic, TensorFlow refuses to draw without a seed."""
    with tf.Graph().as_default() as graph, seeded(4):
        tf.random.normal([3])
        (draws,) = [op for op in graph.get_operations() if op.type == "RandomStandardNormal"]
    assert draws.get_attr("seed") == 4
