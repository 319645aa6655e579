"""What is peculiar to `zero_debias`: the variables it adds, and TensorFlow's own helper beside it."""

import numpy as np
import tensorflow as tf
from tensorflow.python.training import moving_averages

from bnexp.engine.single_layer import lone_layer
from bnexp.probe import trace_layer
from bnexp.variant.zero_debias import BatchNorm

v1 = tf.compat.v1

ROWS = np.float32(np.random.default_rng(0).normal(3.0, 2.0, [8, 6, 2]))


def test_a_pair_of_variables_a_statistic():
    alone = lone_layer(BatchNorm, (2,), engine="session", decay=0.9, epsilon=1e-3)
    added = {n for n in alone.state() if n.endswith(("biased", "local_step"))}
    assert added == {f"bn/moving_{s}/{n}" for s in ("mean", "variance") for n in ("biased", "local_step")}


def test_it_averages_as_the_helper_itself_does():
    seen = trace_layer("zero_debias", ROWS, ROWS[:1], decay=0.9, epsilon=1e-3, engine="session")
    with tf.Graph().as_default(), v1.Session() as session:
        moving, value = v1.get_variable("moving", initializer=tf.ones([2])), v1.placeholder(tf.float32, [2])
        update = moving_averages.assign_moving_average(moving, value, 0.9)
        session.run(v1.global_variables_initializer())
        helper = [session.run(update, {value: rows.mean(0)}) for rows in ROWS]
    np.testing.assert_allclose(seen.moving_mean[:8], helper, rtol=1e-5)


def test_before_the_first_update_the_statistics_are_0_and_1():
    untrained = trace_layer("zero_debias", ROWS[:0], ROWS, decay=0.9, epsilon=1e-3, engine="session")
    np.testing.assert_allclose(untrained.inference_outputs, ROWS / np.sqrt(1.001), rtol=1e-6)
