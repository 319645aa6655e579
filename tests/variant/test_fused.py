"""What is peculiar to `fused`: it does what TensorFlow's own kernel does, whose arithmetic it writes out."""

import numpy as np
import tensorflow as tf

from bnexp.probe import trace_layer


def test_statistics_are_those_of_the_kernel():
    batch = np.float32(np.random.default_rng(0).normal(3.0, 2.0, [1, 4, 3, 2, 5]))
    seen = trace_layer("fused", batch, batch, decay=0.0, epsilon=1e-3, engine="session")
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        batch[0], np.ones(5, "f4"), np.zeros(5, "f4"), epsilon=1e-3
    )
    np.testing.assert_allclose(seen.moving_mean[0], mean, rtol=1e-5)
    np.testing.assert_allclose(seen.moving_variance[0], variance, rtol=1e-5)  # n / (n - 1) larger than the batch's
    np.testing.assert_allclose(variance, batch[0].reshape(-1, 5).var(0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(seen.train_outputs[0], outputs, rtol=1e-4, atol=1e-5)


def test_a_batch_of_one_value_has_variance_0():
    single = np.full([3, 1, 2], 7.0, np.float32)
    seen = trace_layer("fused", single, single, decay=0.5, epsilon=1e-3, engine="session")
    np.testing.assert_allclose(seen.moving_variance[:3, 0], [0.5, 0.25, 0.125])
