"""WRONG: tflearn's layer whose mode variable nobody switches on, so training runs in inference mode.

    mean, variance = 0, 1            # in training too, for ever

"Does batch normalization in tensorflow use running averages during training?" asks why a batch of equal rows, which
ought to come out as 0, comes out almost unchanged, as if means were 0 and variances 1. They are: `is_training` is a
variable that starts False, and outside tflearn's own trainer nothing sets it. The answer given there, running
UPDATE_OPS, misjudges the case: for tflearn that collection is empty.

Most mistakes leave training as it is and spoil inference. This one changes *training*: nothing is normalised, and the
gradients are those of a scale and a shift.

Cure: call `tflearn.is_training(True, session)` before training and with False before inference (variant `tflearn`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import TFLEARN, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A tflearn layer left in the mode it starts in."""

    traits = Traits(
        document=f"{TFLEARN}, the question",
        flag="python",
        attachment="in_place",
        moving="never",
        training_uses="moving",
        verdict="moving_statistics_in_training",
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
