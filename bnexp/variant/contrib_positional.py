"""WRONG: contrib's layer given its flag by position, where it lands in `decay`.

    batch_norm(x, is_training)       # the signature begins (inputs, decay=0.999, ...)

Version 1 of "How to use Batch Normalization correctly in tensorflow?". The layer's own `is_training` keeps its default,
True, so the layer never leaves training mode; and its updates, whose rate would be 1 - True = 0, wait in UPDATE_OPS,
which nothing runs. At batch_size=1 a dense layer's variance is 0 and every input comes out as beta: all predictions are
equal.

Implementation details
  1. The configured `decay` has no effect here, since the flag has taken its place: that is the mistake.
  2. At inference the flag is False and the rate would be 1 - False = 1: with `updates_collections=None` one inference
     call would replace the moving mean by its input. In this version the collection saves it from that.

Cure: pass the flag by name, `is_training=is_training`, and run the updates (variants `contrib`, `update_ops`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import QUESTION, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A contrib layer that never leaves training mode, and whose updates nothing runs."""

    traits = Traits(
        document=f"{QUESTION}, version 1",
        flag="python",
        attachment="nothing",
        moving="never",
        inference_uses="batch",
        verdict="batch_statistics_at_inference",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Calls the layer as version 1 does: the flag second, by position."""
        return self._contrib_batch_norm(inputs, training)

    def _contrib_batch_norm(self, inputs: tf.Tensor, decay: float = 0.999, *, is_training: bool = True) -> tf.Tensor:
        with v1.variable_scope(self.name, reuse=v1.AUTO_REUSE):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        mean, variance = self.moving_mean, self.moving_variance
        if is_training:
            mean, variance = batch_moments(inputs)
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, average(self.moving_mean, mean, decay))
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, average(self.moving_variance, variance, decay))
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`, as in the question: UPDATE_OPS stays where it is."""
        return optimizer.minimize(loss)
