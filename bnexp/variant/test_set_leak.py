"""WRONG: held-out accuracy watched through the training graph, whose output waits for its updates.

    every so many steps:  accuracy.eval(test images)        # in a graph built with is_training=True

R2RT's well-known post "Implementing Batch Normalization in TensorFlow" does this. Its inference has a graph of its own
and is right; but during training the training graph is the only one open, and it is fed the test set to watch the
accuracy. Each look averages the test set into the statistics, and the accuracy is measured on data that they have seen.

Implementation details
  1. The layer is `control_deps` line by line; only `monitor` differs.

Cure: watch held-out data through the inference tower (variant `control_deps`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import R2RT, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A right layer in a script that monitors through the training tower."""

    traits = Traits(
        document=str(R2RT),
        flag="python",
        attachment="in_place",
        monitoring_updates=True,
        verdict="test_data_in_statistics",
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
                average(self.moving_variance, variance, self.decay),
            ]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def monitor(in_training: tf.Tensor, in_inference: tf.Tensor) -> tf.Tensor:
        """Watches held-out data through the training tower."""
        return in_training

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss waits for the updates."""
        return optimizer.minimize(loss)
