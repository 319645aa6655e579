"""Batch norm with the EMA helper class: the batch's moments in variables, averaged by tf.train.ExponentialMovingAverage.

    mean, variance = moments of the batch                 # assigned in the forward pass
    shadow = decay * shadow + (1 - decay) * mean           # the assigner, after the step

Seed 2's ConvolutionalBatchNormalizer. What inference reads is the shadow, never `mean` itself, which only holds the last
batch.

Implementation details
  1. The average must be applied *after* the assignment it averages. The document's recipe builds the assigner first and
     lets `optimizer` wait on nothing: a race. Here `train_op` builds it under a control dependency on the whole step, and
     `apply` then reads the variables after that.
  2. `average()` before `apply()` returns None, so the inference tower must be built after the train op.
  3. A shadow starts at its variable's initial value (0 and 1) and is never debiased: debiasing is for tensors only.
  4. The document's last positional argument of `tf.nn.batch_normalization` is `scale_after_norm`, from an op that is gone;
     today that place is `name`, and the literal call raises a TypeError.
  5. The document takes moments over axes 0, 1 and 2; dense inputs need axis 0 alone.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import Traits

v1 = tf.compat.v1


class BatchNorm:
    """A layer that keeps the last batch's moments; a helper outside it keeps their average."""

    traits = Traits(flag="python", attachment="assigner", document="seed 2, ConvolutionalBatchNormalizer, ordered")

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.epsilon = name, epsilon
        self.ewma = v1.train.ExponentialMovingAverage(decay)

    def assigner(self) -> tf.Operation:
        """Returns the op that moves the averages; it must run after the assignments of the same step."""
        apply = self.ewma.apply([self.mean, self.variance])
        self.moving_mean = self.ewma.average(self.mean)
        self.moving_variance = self.ewma.average(self.variance)
        return apply

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        channels = inputs.shape[-1]
        with v1.variable_scope(self.name, reuse=not training):
            gamma = v1.get_variable("gamma", [channels], initializer=v1.ones_initializer())
            beta = v1.get_variable("beta", [channels], initializer=v1.zeros_initializer())
            self.mean = v1.get_variable("mean", [channels], initializer=v1.zeros_initializer(), trainable=False)
            self.variance = v1.get_variable("variance", [channels], initializer=v1.ones_initializer(), trainable=False)
        if not training:
            return tf.nn.batch_normalization(
                inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon
            )
        mean, variance = tf.nn.moments(inputs, list(range(len(inputs.shape) - 1)))
        self.batch_mean, self.batch_variance = mean, variance
        with tf.control_dependencies([self.mean.assign(mean), self.variance.assign(variance)]):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence["BatchNorm"]) -> tf.Operation:
        """Runs the step, then every layer's assigner."""
        step = optimizer.minimize(loss)
        with tf.control_dependencies([step]):
            return tf.group(step, *[layer.assigner() for layer in layers])
