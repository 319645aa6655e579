"""Batch norm whose normalisation waits for its updates: control dependencies, a Python flag, two towers.

    moving = decay * moving + (1 - decay) * batch

Seed 1's version 4 and its first answer, in the form that works: the inference tower *reuses* the training tower's
variables instead of making a second set.

Implementation details
  1. Whatever computes the training tower's output updates the statistics, also a look at the training loss on other data:
     inference must go through the tower built with `training=False`.
  2. The first answer's code cannot run as printed (it reads `shape` before it is set, and looks for its variables one
     scope too deep); this is the repaired form.
  3. Its claim to equal contrib's layer holds for the plain average, which this is. Since TensorFlow 1.0 the helper it calls
     debiases by default, and there the claim fails.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import Traits

v1 = tf.compat.v1


class BatchNorm:
    """A layer whose training output waits for its updates."""

    traits = Traits(flag="python", attachment="in_place", document="seed 1, version 4 and answer 1, repaired")

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        channels = inputs.shape[-1]
        with v1.variable_scope(self.name, reuse=not training):
            gamma = v1.get_variable("gamma", [channels], initializer=v1.ones_initializer())
            beta = v1.get_variable("beta", [channels], initializer=v1.zeros_initializer())
            self.moving_mean = v1.get_variable(
                "moving_mean", [channels], initializer=v1.zeros_initializer(), trainable=False
            )
            self.moving_variance = v1.get_variable(
                "moving_variance", [channels], initializer=v1.ones_initializer(), trainable=False
            )
        updates = []
        if training:
            mean, variance = tf.nn.moments(inputs, list(range(len(inputs.shape) - 1)))
            self.batch_mean, self.batch_variance = mean, variance
            rate = 1 - self.decay
            updates = [
                self.moving_mean.assign_sub((self.moving_mean - mean) * rate),
                self.moving_variance.assign_sub((self.moving_variance - variance) * rate),
            ]
        else:
            mean, variance = self.moving_mean, self.moving_variance
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence["BatchNorm"]) -> tf.Operation:
        """Plain `minimize`: the loss already waits for the updates."""
        return optimizer.minimize(loss)
