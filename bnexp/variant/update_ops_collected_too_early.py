"""WRONG: UPDATE_OPS collected before the layers have put anything into it.

    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)        # [] so far
    y = batch_normalization(x, training=training)
    with tf.control_dependencies(update_ops): ...                  # waits for nothing

The documentation of tf.layers warns of it, as quoted in the answer to "Does batch normalization in tensorflow use
running averages during training?": "be sure to add any batch_normalization ops before getting the update_ops
collection". `get_collection` returns a copy of the list as it is at that moment; what is added later is not in it.

Implementation details
  1. The mistake is a script's, which collects at its top. Here each layer keeps what the collection held when the layer
     was made, and `train_op` waits for what the first layer kept.

Cure: collect after the network is built (variant `update_ops`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import TFLEARN, Traits, average, batch_moments, new_affine, new_moving, unbiased

v1 = tf.compat.v1


class BatchNorm:
    """A tf.layers-style layer whose caller looked into the collection too soon."""

    traits = Traits(
        document=f"{TFLEARN}, the answer, the warning in it",
        flag="tensor",
        attachment="nothing",
        moving="never",
        verdict="updates_never_run",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon
        self.collected = v1.get_collection(v1.GraphKeys.UPDATE_OPS)

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
        """Makes `minimize` wait for what the collection held before the first layer was called."""
        with tf.control_dependencies(layers[0].collected):
            return optimizer.minimize(loss)
