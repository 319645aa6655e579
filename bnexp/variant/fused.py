"""Batch norm through TensorFlow's fused kernel, as contrib's and tf_slim's layers take it by default.

    moving = decay * moving + (1 - decay) * batch             # of Bessel-corrected variances

The fused kernel normalises with the biased variance and hands on the Bessel-corrected one, so the moving variance comes
out larger than the unfused layer's by the factor n / (n - 1), for n values a channel in a batch. The program on the
page with the printed iterations, which trains in batches of four, would come to a variance of .872 instead of .654.

Implementation details
  1. The kernel's arithmetic is written out here, for rank 2 and 4 alike (tf_slim sends a dense input through it as
     images of one pixel). Compiled by XLA the kernel itself takes E[x**2] - E[x]**2, which at a mean of 40 standard
     deviations costs its outputs four digits.
  2. At n = 1 the kernel divides by 1: a batch of one value has variance 0, not infinity.

References:
  [1] tensorflow/core/kernels/fused_batch_norm_op.cc, `rest_size_adjust`.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import Traits, average, batch_moments, new_affine, new_moving, unbiased

v1 = tf.compat.v1


class BatchNorm:
    """A tf_slim layer with the fused kernel's statistics; in training its output waits for its updates."""

    traits = Traits(
        document="tf_slim's default since fused=None means True",
        flag="python",
        attachment="in_place",
        variance_ddof={2: 1, 4: 1},
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        updates = []
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
            updates = [
                average(self.moving_mean, mean, self.decay),
                average(self.moving_variance, unbiased(variance, inputs), self.decay),
            ]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss already waits for the updates."""
        return optimizer.minimize(loss)
