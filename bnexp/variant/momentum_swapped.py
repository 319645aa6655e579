"""WRONG: decay and 1 - decay swapped.

    moving = (1 - decay) * moving + decay * batch

PyTorch's `momentum` is the weight of the new batch, TensorFlow's and Keras's that of the old average; a port that
copies the number swaps the two. At .9 nine tenths of the "average" are the last batch. The public code
eigenfoo/batch-renorm passes momentum=.99 as the weight of the new batch.

Cure: pass 1 - momentum (variant `control_deps`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import EIGENFOO, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer that takes the weight of the new batch for that of the old average."""

    traits = Traits(
        document=f"{EIGENFOO}; PyTorch's momentum is 1 - decay",
        flag="python",
        attachment="in_place",
        moving="swapped",
        verdict="wrong_recurrence",
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
                average(self.moving_mean, mean, 1 - self.decay),
                average(self.moving_variance, variance, 1 - self.decay),
            ]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss waits for the updates."""
        return optimizer.minimize(loss)
