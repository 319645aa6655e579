"""WRONG: tf.layers' batch norm with its UPDATE_OPS never run.

    train_op = optimizer.minimize(loss)        # and nothing else

The most common mistake of all. The wiki page describes it: creating the op that updates the running mean without tying
it to training "will mean it never gets executed". Training normalises with the batch and goes well; the statistics stay
0 and 1.

Cure: `with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS))` around `minimize` (variant
`update_ops`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import WIKI, Traits, average, batch_moments, new_affine, new_moving, unbiased

v1 = tf.compat.v1


class BatchNorm:
    """A tf.layers-style layer whose caller forgot the collection."""

    traits = Traits(
        document=f'{WIKI}, "it never gets executed"',
        flag="tensor",
        attachment="nothing",
        moving="never",
        verdict="updates_never_run",
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
        """Plain `minimize`: UPDATE_OPS stays where it is."""
        return optimizer.minimize(loss)
