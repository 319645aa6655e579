"""WRONG: two contrib layers, one for each mode, both built outside the `tf.cond` that chooses between them.

    bn_train, bn_inference = batch_norm(x, is_training=True), batch_norm(x, is_training=False, reuse=True)
    z = tf.cond(flag, lambda: bn_train, lambda: bn_inference)

Version 2 of "How to use Batch Normalization correctly in tensorflow?", and the program on the page with the printed
iterations. What is created outside the branches runs whichever branch is taken, so every inference call also updates
the statistics with what it was given: at batch_size=1 it multiplies the moving variance by `decay` and pulls the mean
towards the example. After 1000 calls at decay .999 a third of the variance is left. The accuracy may even rise, so it
cannot show the leak; a second evaluation, or a look at the statistics, does.

Implementation details
  1. Nothing orders inference's read of a statistic against the leaking write: the output may be normalised with the
     statistics from before the call or from after it. The page's outputs show those from before, and the parameters
     that it prints next to them are those from after.
  2. `reuse=None` and `reuse=True`, which the question asks about, are right.

Cure: one call with the bool tensor as flag (variant `contrib`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import PRINTED, QUESTION, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """Two layers on the same variables, both always run."""

    traits = Traits(
        document=f"{QUESTION}, version 2; {PRINTED}, the question",
        flag="tensor",
        attachment="in_place",
        inference_updates=True,
        ordered=False,
        verdict="leaks_at_inference",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        """Normalises with the batch where `training` is true, with the moving statistics where it is false."""
        in_training = self._contrib_batch_norm(inputs, is_training=True, reuse=None)
        in_inference = self._contrib_batch_norm(inputs, is_training=False, reuse=True)
        return tf.cond(training, lambda: in_training, lambda: in_inference)

    def _contrib_batch_norm(self, inputs: tf.Tensor, *, is_training: bool, reuse: bool | None) -> tf.Tensor:
        with v1.variable_scope(self.name, reuse=reuse):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        updates = []
        mean, variance = self.moving_mean, self.moving_variance
        if is_training:
            mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
            updates = [
                average(self.moving_mean, mean, self.decay),
                average(self.moving_variance, variance, self.decay),
            ]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the training output waits for the updates."""
        return optimizer.minimize(loss)
