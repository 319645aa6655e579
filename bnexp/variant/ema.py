"""Batch norm with the EMA helper class: the batch's moments in variables, averaged by ExponentialMovingAverage.

    mean, variance = moments of the batch                 # assigned in the forward pass
    shadow = decay * shadow + (1 - decay) * mean           # the assigner, after the step

The ConvolutionalBatchNormalizer of the blog. What inference reads is the shadow, never `mean` itself, which only holds
the last batch. Its near twins are wrong: `ema_unordered`, the blog's own recipe, averages in no fixed order, and
`ema_never_applied` never runs the assigner.

Implementation details
  1. The average must be applied *after* the assignment that it averages. The blog's recipe builds the assigner first,
     outside the control dependency, so that it waits for nothing: a race. Here `train_op` builds it under a control
     dependency on the whole step, and so `apply` reads the variables after the step.
  2. `average()` before `apply()` returns None, so the inference tower must be built after the train op.
  3. A shadow starts at its variable's initial value (0 and 1) and is never debiased: debiasing is for tensors only.
  4. The blog passes `scale_after_norm` as the last argument of `tf.nn.batch_normalization`, after an older op's
     signature; the argument in that place is `name` today, and the literal call raises a TypeError.
  5. The blog takes moments over axes 0, 1 and 2, for images; dense inputs need axis 0 alone.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import BLOG, Traits, batch_moments, new_affine, new_moving, rounded

v1 = tf.compat.v1


class BatchNorm:
    """A layer that keeps the last batch's moments; a helper outside it keeps their average."""

    traits = Traits(document=f"{BLOG}, put in order", flag="python", attachment="assigner")

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
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.mean, self.variance = new_moving(inputs.shape[-1])  # of the last batch; their average is elsewhere
        if not training:
            return tf.nn.batch_normalization(inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon)
        mean, variance = batch_moments(inputs)
        self.batch_mean, self.batch_variance = mean, variance
        with tf.control_dependencies([self.mean.assign(rounded(mean)), self.variance.assign(rounded(variance))]):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Runs the step, then every layer's assigner."""
        step = optimizer.minimize(loss)
        with tf.control_dependencies([step]):
            return tf.group(step, *[layer.assigner() for layer in layers])
