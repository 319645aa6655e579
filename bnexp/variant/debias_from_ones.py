"""WRONG: the variance's hidden average starts at 1 and is debiased as if it had started at 0.

    hidden = decay * hidden + (1 - decay) * batch_variance        # starts at 1
    moving_variance = hidden / (1 - decay**t)                     # too large by decay**t / (1 - decay**t)

Equinox's layer in its batch mode does this: by that recurrence a true variance of 1 reads 100 after one step at decay
.99, 10.46 after ten and 1.58 after a hundred. A test that checks shapes alone, or checks values only after many steps,
does not see it.

Cure: start the hidden average at 0 (variant `zero_debias`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import EQUINOX, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer that debiases an average as if it had started at 0, though it started at 1."""

    traits = Traits(
        document=f"{EQUINOX}, whose hidden variance starts at 1",
        flag="python",
        attachment="in_place",
        moving="debias_from_ones",
        verdict="wrong_recurrence",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        if not training:
            return tf.nn.batch_normalization(inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon)
        mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
        with v1.variable_scope(self.name):
            hidden_mean = v1.get_variable(
                "hidden_mean", mean.shape, initializer=v1.zeros_initializer(), trainable=False
            )
            hidden_variance = v1.get_variable(
                "hidden_variance", mean.shape, initializer=v1.ones_initializer(), trainable=False
            )
            steps = v1.get_variable("steps", [], initializer=v1.zeros_initializer(), trainable=False)
        debias = 1 - tf.pow(self.decay, steps.assign_add(1.0, read_value=True))
        updates = [
            self.moving_mean.assign(average(hidden_mean, mean, self.decay) / debias),
            self.moving_variance.assign(average(hidden_variance, variance, self.decay) / debias),
        ]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss waits for the updates."""
        return optimizer.minimize(loss)
