"""WRONG: inception-slim's layer copied without the two lines that put its updates into a collection.

    update = assign_moving_average(...)        # created, tied to nothing, never run

Version 3 of "How to use Batch Normalization correctly in tensorflow?". In a TF1-style graph an op runs only if a fetch
needs it, and nothing needs these: the statistics stay 0 and 1 and inference returns x / sqrt(1 + epsilon), .99950037 of
what it was given at epsilon .001.

Implementation details
  1. The copy makes its variables with `tf.Variable`, so each call makes new ones: the inference tower has a gamma, a
     beta and statistics of its own, named `<scope>_1/...`, and would see nothing of training even if the updates ran.
  2. The literal `tf.zeros_initializer(shape)` raises a TypeError since TensorFlow 1.0, where it became a class; the
     smallest repair is `tf.zeros(shape)`, which version 4 uses.

Cure: put the updates into a collection and run it (variant `slim`), and share the variables.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import QUESTION, Traits, average, batch_moments

v1 = tf.compat.v1


class BatchNorm:
    """A layer with updates that nothing runs, and a second set of variables for inference."""

    traits = Traits(
        document=f"{QUESTION}, version 3",
        flag="python",
        attachment="nothing",
        moving="never",
        verdict="updates_never_run",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        channels = inputs.shape[-1]
        with v1.variable_scope(self.name):
            beta = v1.Variable(lambda: tf.zeros([channels]), name="beta", trainable=True)
            gamma = v1.Variable(lambda: tf.ones([channels]), name="gamma", trainable=True)
            self.moving_mean = v1.Variable(lambda: tf.zeros([channels]), name="moving_mean", trainable=False)
            self.moving_variance = v1.Variable(lambda: tf.ones([channels]), name="moving_variance", trainable=False)
            if training:
                mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
                average(self.moving_mean, mean, self.decay)
                average(self.moving_variance, variance, self.decay)
            else:
                mean, variance = self.moving_mean, self.moving_variance
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`, as in the question."""
        return optimizer.minimize(loss)
