"""WRONG: the layer with control dependencies called twice in one graph, and the second call makes its own variables.

    tower 1 trains  <scope>/gamma, beta, moving_mean, moving_variance
    tower 2 reads   <scope>_1/gamma, beta, moving_mean, moving_variance        # 1, 0, 0, 1 for ever

Version 4 of "How to use Batch Normalization correctly in tensorflow?". The updates run and are right, but inference
reads other variables. The layer is correct only where inference has a graph of its own, restored from the training
graph's checkpoint: there the names agree.

Implementation details
  1. `tf.Variable` always makes a new variable and knows no `reuse`; `tf.get_variable` would have raised or shared.
  2. gamma and beta are a second set too, so even true statistics would not give the trained network.

Cure: `tf.get_variable` and `reuse=True` in the second tower (variant `control_deps`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import QUESTION, Traits, average, batch_moments

v1 = tf.compat.v1


class BatchNorm:
    """A layer whose inference tower has variables of its own."""

    traits = Traits(
        document=f"{QUESTION}, version 4",
        flag="python",
        attachment="in_place",
        moving="never",
        verdict="separate_statistics",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        channels = inputs.shape[-1]
        with v1.variable_scope(self.name):
            beta = v1.Variable(lambda: tf.zeros([channels]), name="beta")
            gamma = v1.Variable(lambda: tf.ones([channels]), name="gamma")
            self.moving_mean = v1.Variable(lambda: tf.zeros([channels]), name="moving_mean", trainable=False)
            self.moving_variance = v1.Variable(lambda: tf.ones([channels]), name="moving_variance", trainable=False)
        updates = []
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
            updates = [
                average(self.moving_mean, mean, self.decay),
                average(self.moving_variance, variance, self.decay),
            ]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss waits for the training tower's updates."""
        return optimizer.minimize(loss)
