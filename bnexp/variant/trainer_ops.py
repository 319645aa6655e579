"""Batch norm whose layers keep their update ops for the caller: the model returns them, the caller runs them.

    moving = decay * moving + (1 - decay) * batch

The scheme that works on the wiki page ("trainOps"): a placeholder for the mode, a list of the model's batch-norm
instances, and a method that asks every instance for the ops to run beside the training op. A caller who forgets to run
them has updates that exist and never execute, which is the wrong `update_ops_forgotten`.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import WIKI, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer that keeps its updates in `train_ops`."""

    traits = Traits(document=f'{WIKI}, "Adding Ops to Training"', flag="tensor", attachment="train_ops")

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        """Normalises with the batch where `training` is true, with the moving statistics where it is false."""
        with v1.variable_scope(self.name):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        self.batch_mean, self.batch_variance = batch_moments(inputs)
        self.train_ops = [
            average(self.moving_mean, self.batch_mean, self.decay),
            average(self.moving_variance, self.batch_variance, self.decay),
        ]
        mean, variance = tf.cond(
            training,
            lambda: (self.batch_mean, self.batch_variance),
            lambda: (self.moving_mean.read_value(), self.moving_variance.read_value()),
        )
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Runs the step and every instance's `train_ops`."""
        return tf.group(optimizer.minimize(loss), *[op for layer in layers for op in layer.train_ops])
