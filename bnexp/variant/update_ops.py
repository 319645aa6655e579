"""Batch norm as tf.layers writes it: update ops in a collection, run as dependencies of `minimize`.

    moving = decay * moving + (1 - decay) * batch

The layer only *creates* the updates and leaves them in tf.GraphKeys.UPDATE_OPS; `train_op` makes `minimize` depend on
that collection. Its near twins are wrong: `update_ops_forgotten` never runs the collection, so that inference has mean
0 and variance 1, `update_ops_collected_too_early` reads it while it is empty, and `double_update` fills it twice.

Implementation details
  1. In tf.layers inputs of rank 4 go through TensorFlow's fused kernel, which hands on the Bessel-corrected variance;
     inputs of rank 2 do not, and their variance is handed on biased [1]. The batch is normalised with the biased
     variance either way. Here both ranks take the same ops, and the correction is written out.
  2. With a placeholder as flag each update sits inside a `tf.cond`, so running the collection at inference is harmless.

References:
  [1] tensorflow/core/kernels/fused_batch_norm_op.cc, `rest_size_adjust`.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import TFLEARN, Traits, average, batch_moments, new_affine, new_moving, unbiased

v1 = tf.compat.v1


class BatchNorm:
    """A tf.layers-style layer; its updates wait in UPDATE_OPS."""

    traits = Traits(
        document=f"{TFLEARN}, the answer, which quotes the documentation of tf.layers",
        flag="tensor",
        attachment="update_ops",
        variance_ddof={2: 0, 4: 1},
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        """Normalises with the batch where `training` is true, with the moving statistics where it is false."""
        with v1.variable_scope(self.name):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        self.batch_mean, self.batch_variance = batch_moments(inputs)
        corrected = unbiased(self.batch_variance, inputs) if len(inputs.shape) == 4 else self.batch_variance
        for moving, batch in ((self.moving_mean, self.batch_mean), (self.moving_variance, corrected)):
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, self._update(moving, batch, training))
        mean = tf.where(training, self.batch_mean, self.moving_mean)
        variance = tf.where(training, self.batch_variance, self.moving_variance)
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    def _update(self, moving: tf.Variable, batch: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        return tf.cond(training, lambda: average(moving, batch, self.decay), moving.read_value)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Minimises `loss` after every op of UPDATE_OPS has run."""
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            return optimizer.minimize(loss)
