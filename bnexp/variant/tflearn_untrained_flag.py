"""WRONG: tflearn's layer whose mode variable nobody switches on, so training runs in inference mode.

    mean, variance = 0, 1            # in training too, for ever

Seed 4: a batch of equal rows ought to come out as 0 and comes out almost unchanged, "as if" means were 0 and variances
were 1. They are: `is_training` is a variable that starts False, and outside tflearn's own trainer nothing sets it. The
answer accepted there, running UPDATE_OPS, is a misdiagnosis: the collection is empty.

This is the one family of mistakes whose *training* differs: there is no normalisation, and gradients are those of a
scale and a shift.

Cure: call `tflearn.is_training(True, session)` before training and with False before inference (variant `tflearn`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A tflearn layer left in the mode it starts in."""

    traits = Traits(
        document="seed 4, question",
        flag="python",
        attachment="in_place",
        moving="never",
        training_uses="moving",
        verdict="updates_never_run",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Follows the mode variable; `training` is not looked at, as in the question's code."""
        with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
            mode = v1.get_variable("is_training", [], tf.bool, v1.zeros_initializer(), trainable=False)
        with v1.variable_scope(self.name, reuse=v1.AUTO_REUSE):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        mean, variance = tf.cond(
            mode,
            lambda: self._update(inputs),
            lambda: (self.moving_mean.read_value(), self.moving_variance.read_value()),
        )
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    def _update(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, variance = batch_moments(inputs)
        updates = [
            average(self.moving_mean, mean, self.decay),
            average(self.moving_variance, variance, self.decay),
        ]
        with tf.control_dependencies(updates):
            return tf.identity(mean), tf.identity(variance)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`, as in the question."""
        return optimizer.minimize(loss)
