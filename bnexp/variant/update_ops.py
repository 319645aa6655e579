"""Batch norm as tf.layers writes it: update ops in a collection, run as dependencies of `minimize`.

    moving = decay * moving + (1 - decay) * batch

The layer only *creates* the updates and leaves them in tf.GraphKeys.UPDATE_OPS. Whoever forgets to run that collection
trains well and infers with mean 0 and variance 1; the cure, here in `train_op`, is to make `minimize` depend on it.

Implementation details
  1. Rank 4 goes through TensorFlow's fused kernel in tf.layers, and that kernel hands on the Bessel-corrected variance;
     rank 2 does not, and hands on the biased one [1]. The batch is normalised with the biased variance either way. Here
     both ranks share one kernel family and the correction is written out.
  2. The flag may be a tensor: the updates then sit inside a `tf.cond`, so running the collection at inference is harmless.

References
  [1] tensorflow/core/kernels/fused_batch_norm_op.cc, `rest_size_adjust`.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import Traits

v1 = tf.compat.v1


class BatchNorm:
    """A tf.layers-style layer; its updates wait in UPDATE_OPS."""

    traits = Traits(
        flag="tensor",
        attachment="update_ops",
        variance_ddof={2: 0, 4: 1},
        document="seed 4, answer (the documentation of tf.layers.batch_normalization)",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        """Normalises with the batch where `training` is true, with the moving statistics where it is false."""
        channels = inputs.shape[-1]
        with v1.variable_scope(self.name):
            gamma = v1.get_variable("gamma", [channels], initializer=v1.ones_initializer())
            beta = v1.get_variable("beta", [channels], initializer=v1.zeros_initializer())
            self.moving_mean = v1.get_variable(
                "moving_mean", [channels], initializer=v1.zeros_initializer(), trainable=False
            )
            self.moving_variance = v1.get_variable(
                "moving_variance", [channels], initializer=v1.ones_initializer(), trainable=False
            )
        axes = list(range(len(inputs.shape) - 1))
        self.batch_mean, self.batch_variance = tf.nn.moments(inputs, axes)
        updates = [
            self._update(self.moving_mean, self.batch_mean, training),
            self._update(self.moving_variance, self.batch_variance * self._bessel(inputs), training),
        ]
        for update in updates:
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
        mean = tf.where(training, self.batch_mean, self.moving_mean)
        variance = tf.where(training, self.batch_variance, self.moving_variance)
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    def _update(self, moving: tf.Variable, batch: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        return tf.cond(
            training,
            lambda: moving.assign_sub((moving - batch) * (1 - self.decay), read_value=True),
            moving.read_value,
        )

    def _bessel(self, inputs: tf.Tensor) -> tf.Tensor:
        if len(inputs.shape) != 4:
            return tf.constant(1.0)
        count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
        # the fused kernel divides by at least 1, so that a single value keeps its variance of 0
        return count / tf.maximum(count - 1.0, 1.0)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence["BatchNorm"]) -> tf.Operation:
        """Minimises `loss` after every op of UPDATE_OPS has run."""
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            return optimizer.minimize(loss)
