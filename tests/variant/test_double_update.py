"""What is peculiar to `double_update`: four ops in a collection that should hold two."""

import numpy as np
import tensorflow as tf

from bnexp.probe import trace_layer
from bnexp.variant.double_update import BatchNorm

v1 = tf.compat.v1


def test_four_ops_wait_in_update_ops():
    with tf.Graph().as_default():
        BatchNorm(name="bn", decay=0.9, epsilon=1e-3)(v1.placeholder(tf.float32, [None, 2]), True)
        assert len(v1.get_collection(v1.GraphKeys.UPDATE_OPS)) == 4


def test_the_decay_that_acts_is_the_square():
    rows = np.float32(np.random.default_rng(0).normal(3.0, 2.0, [6, 8, 2]))
    doubled = trace_layer("double_update", rows, rows[:1], decay=0.9, epsilon=1e-3, engine="session")
    squared = trace_layer("control_deps", rows, rows[:1], decay=0.81, epsilon=1e-3, engine="session")
    np.testing.assert_allclose(doubled.moving_mean, squared.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(doubled.moving_variance, squared.moving_variance, rtol=1e-5)
