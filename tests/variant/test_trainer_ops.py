"""What is peculiar to `trainer_ops`: the caller gets the ops, and may forget them."""

import numpy as np
import pytest
import tensorflow as tf

from bnexp.variant.trainer_ops import BatchNorm

v1 = tf.compat.v1


@pytest.mark.parametrize("remembered", [True, False])
def test_the_caller_runs_the_ops_or_nobody_does(remembered):
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, flag = v1.placeholder(tf.float32, [None, 1]), v1.placeholder(tf.bool, [])
        layer = BatchNorm(name="bn", decay=0.5, epsilon=1e-3)
        outputs = layer(inputs, flag)
        assert len(layer.train_ops) == 2
        session.run(v1.global_variables_initializer())
        session.run([outputs, *(layer.train_ops if remembered else [])], {inputs: [[1.0], [5.0]], flag: True})
        moved = np.ravel(session.run([layer.moving_mean, layer.moving_variance]))
    np.testing.assert_allclose(moved, [1.5, 2.5] if remembered else [0, 1])
