"""Batch norm as tf.contrib.layers (later tf_slim) writes it, with updates in place and a bool tensor flag.

    moving = decay * moving + (1 - decay) * batch

`updates_collections=None` is tip 2 of the first answer to "How to use Batch Normalization correctly in tensorflow?":
instead of leaving its updates in a collection, the layer makes its own output wait for them. One call serves both
modes. Its near twins are wrong: `contrib_twin` calls the layer once for each mode and leaks at inference, and
`contrib_positional` passes the flag by position and never leaves training mode.

Implementation details
  1. The updates are *created inside* the branch of `tf.cond` that training takes. Created outside, they would run
     whichever branch is taken, and inference would move the statistics: that is the mistake of `contrib_twin`.
  2. The moving variance averages biased variances, which the page with the printed iterations proves by its digits.
     Today's tf_slim takes the fused kernel by default and averages Bessel-corrected ones: see `fused`.
  3. The flag must be a bool tensor and not a number, as that page's first answer adds, and must be passed by name:
     passed second by position it lands in `decay`.
  4. Decay .999 is contrib's default; with few training steps such statistics lag, says tip 4.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import PRINTED, QUESTION, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A contrib-style layer; in training its output waits for its updates."""

    traits = Traits(document=f"{QUESTION}, tips 1-4; {PRINTED}, answer 1", flag="tensor", attachment="in_place")

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        """Normalises with the batch where `training` is true, with the moving statistics where it is false."""
        with v1.variable_scope(self.name):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        # the moments stand outside the branch, as in contrib; only the writes are conditional
        self.batch_mean, self.batch_variance = batch_moments(inputs)
        mean, variance = tf.cond(
            training,
            self._update_then_batch,
            lambda: (self.moving_mean.read_value(), self.moving_variance.read_value()),
        )
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    def _update_then_batch(self) -> tuple[tf.Tensor, tf.Tensor]:
        updates = [
            average(self.moving_mean, self.batch_mean, self.decay),
            average(self.moving_variance, self.batch_variance, self.decay),
        ]
        with tf.control_dependencies(updates):
            return tf.identity(self.batch_mean), tf.identity(self.batch_variance)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss already waits for the updates."""
        return optimizer.minimize(loss)
