"""Batch norm whose normalisation waits for its updates: control dependencies, a Python flag, two towers.

    moving = decay * moving + (1 - decay) * batch

Version 4 of "How to use Batch Normalization correctly in tensorflow?" and its first answer, in the form that works: the
inference tower *reuses* the training tower's variables. Its near twins are wrong: `control_deps_same_graph` makes a
second set of variables for inference, and `test_set_leak` is this very layer watched through its training tower.

Implementation details
  1. Whatever computes the training tower's output updates the statistics, even if it only looks at the loss of other
     data: inference must go through the tower built with `training=False`.
  2. The first answer's code cannot run as printed (it reads `shape` before it is set, and looks for its variables one
     scope too deep); this is the repaired form.
  3. Its claim to equal contrib's layer holds for the plain average, which this is. Since TensorFlow 1.0 the helper it
     calls debiases by default, and there the claim fails.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import QUESTION, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer whose training output waits for its updates."""

    traits = Traits(document=f"{QUESTION}, version 4 and answer 1, repaired", flag="python", attachment="in_place")

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        updates = []
        if training:
            mean, variance = batch_moments(inputs)
            self.batch_mean, self.batch_variance = mean, variance
            updates = [
                average(self.moving_mean, mean, self.decay),
                average(self.moving_variance, variance, self.decay),
            ]
        else:
            mean, variance = self.moving_mean, self.moving_variance
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss already waits for the updates."""
        return optimizer.minimize(loss)
