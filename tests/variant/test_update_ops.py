"""What is peculiar to `update_ops`: a collection that is harmless at inference, and of two conventions by rank."""

import numpy as np
import pytest
import tensorflow as tf

from bnexp.variant.update_ops import BatchNorm

v1 = tf.compat.v1


@pytest.mark.parametrize("training", [True, False])
def test_running_the_collection_at_inference_is_harmless(training):
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, flag = v1.placeholder(tf.float32, [None, 1]), v1.placeholder(tf.bool, [])
        layer = BatchNorm(name="bn", decay=0.5, epsilon=1e-3)
        layer(inputs, flag)
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        assert len(updates) == 2
        session.run(v1.global_variables_initializer())
        session.run(updates, {inputs: [[1.0], [5.0]], flag: training})
        moved = np.ravel(session.run([layer.moving_mean, layer.moving_variance]))
    np.testing.assert_allclose(moved, [1.5, 2.5] if training else [0, 1])
