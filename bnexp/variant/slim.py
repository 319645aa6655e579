"""Batch norm as inception-slim writes it: a collection of its own, run by the train op.

    moving = decay * moving + (1 - decay) * batch

The flag is a Python bool, so training and inference are two towers that share variables. Its near twin `slim_detached`,
version 3 of "How to use Batch Normalization correctly in tensorflow?", lost the two `add_to_collection` lines in
copying and is wrong: its updates are created and never run.

Implementation details
  1. The collection is slim's private `_update_ops_`, which `minimize` knows nothing of; inception's training script
     gathers it and groups it with the gradient step, as `train_op` does here. Their order does not matter, for the
     updates read the batch moments of the forward pass, not the weights.
  2. slim's call of `assign_moving_average` names no `zero_debias`. When slim was written there was no such argument;
     since TensorFlow 1.0 the same call would debias. This variant keeps the plain average of that time.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import QUESTION, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1

UPDATE_OPS_COLLECTION = "_update_ops_"


class BatchNorm:
    """An inception-slim layer; its updates wait in slim's own collection."""

    traits = Traits(
        document=f"{QUESTION}, version 3, as slim itself has it", flag="python", attachment="own_collection"
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        if training:
            mean, variance = batch_moments(inputs)
            self.batch_mean, self.batch_variance = mean, variance
            v1.add_to_collection(UPDATE_OPS_COLLECTION, average(self.moving_mean, mean, self.decay))
            v1.add_to_collection(UPDATE_OPS_COLLECTION, average(self.moving_variance, variance, self.decay))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Groups the gradient step with slim's collection of updates."""
        return tf.group(optimizer.minimize(loss), *v1.get_collection(UPDATE_OPS_COLLECTION))
