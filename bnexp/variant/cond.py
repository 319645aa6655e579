"""Batch norm that chooses its whole branch at run time: a bool tensor, and everything built inside `tf.cond`.

    moving = decay * moving + (1 - decay) * batch

The second answer to "How to use Batch Normalization correctly in tensorflow?" turns the first answer's Python flag into
a placeholder, by building one layer in each branch. What is created inside a branch runs only when the branch is taken,
so inference moves nothing. Its near twin `control_deps_leaky` makes the assignments outside the branch and is wrong.

Implementation details
  1. The variables too are created inside the first branch and reused in the second; TensorFlow lifts them out of the
     branch.
  2. The moments are computed inside the branch: inference does not pay for them.
  3. As printed, the answer's average is debiased on TensorFlow 1.0 and later, where the default of the helper that it
     calls has changed. This is the plain average.
  4. No bias needs to be added before the layer: beta takes its place, as the answer says after the paper [1].

References:
  [1] Ioffe and Szegedy. Batch Normalization. 2015. https://arxiv.org/abs/1502.03167, section 3.2.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import QUESTION, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer whose two modes are the two branches of a `tf.cond`."""

    traits = Traits(document=f"{QUESTION}, answer 2", flag="tensor", attachment="in_place")

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        """Normalises with the batch where `training` is true, with the moving statistics where it is false."""
        return tf.cond(
            training, lambda: self._branch(inputs, training=True), lambda: self._branch(inputs, training=False)
        )

    def _branch(self, inputs: tf.Tensor, *, training: bool) -> tf.Tensor:
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        updates = []
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            mean, variance = batch_moments(inputs)
            updates = [
                average(self.moving_mean, mean, self.decay),
                average(self.moving_variance, variance, self.decay),
            ]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss already waits for the updates."""
        return optimizer.minimize(loss)
