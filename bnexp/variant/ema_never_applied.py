"""WRONG: the EMA helper class whose assigner nobody runs.

    mean, variance: the last batch's moments        # written at every step
    their averages: 0 and 1 for ever                # what inference reads

The class that the blog shows says it in its own words: get_assigner() "returns an op that must be executed". Where
nobody executes it, the class's own variables still move, so that a look at *those* reassures, wrongly.

Cure: run the assigner after every step (variant `ema`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import BLOG, Traits, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """The helper class without its last step."""

    traits = Traits(
        document=f"{BLOG}, get_assigner() left out",
        flag="python",
        attachment="nothing",
        moving="never",
        verdict="updates_never_run",
    )

    moving_mean: tf.Variable
    moving_variance: tf.Variable

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.epsilon = name, epsilon
        self.ewma = v1.train.ExponentialMovingAverage(decay)

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.mean, self.variance = new_moving(inputs.shape[-1])  # of the last batch; their average is elsewhere
        if not training:
            return tf.nn.batch_normalization(inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon)
        self.ewma.apply([self.mean, self.variance])  # made, since there is no average to read without it; never run
        self.moving_mean, self.moving_variance = self.ewma.average(self.mean), self.ewma.average(self.variance)
        mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
        with tf.control_dependencies([self.mean.assign(mean), self.variance.assign(variance)]):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`, and no assigner."""
        return optimizer.minimize(loss)
