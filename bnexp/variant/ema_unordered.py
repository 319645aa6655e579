"""WRONG: the EMA helper class with its assigner built before, and outside, what it has to wait for.

    update_assignments = tf.group(bn1.get_assigner(), bn2.get_assigner())
    with tf.control_dependencies([optimizer]):
        optimizer = tf.group(update_assignments)

The recipe of the blog. A control dependency binds ops *created* in its block. The averages were created before it; only
the group around them is created inside, and the group waits for the step while they do not. So nothing makes an average
read the batch's moments after the assignment that puts them there: a step averages this batch's moments or the last
one's, as the runtime pleases (with ref variables, which TensorFlow had when the blog was written, 20 of 60 steps
lagged).

Implementation details
  1. With today's resource variables and one executor the order tends to come out the same every time. That hides the
     race and does not end it, so the audit looks for the missing dependency in the graph instead.

Cure: call `get_assigner()` inside the block (variant `ema`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import BLOG, Traits, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """The helper class, whose averages race with its assignments."""

    traits = Traits(
        document=f"{BLOG}, the recipe in its docstring",
        flag="python",
        attachment="assigner",
        moving="late",
        ordered=False,
        verdict="unordered_average",
    )

    moving_mean: tf.Variable
    moving_variance: tf.Variable

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.epsilon = name, epsilon
        self.ewma = v1.train.ExponentialMovingAverage(decay)

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.mean, self.variance = new_moving(inputs.shape[-1])  # of the last batch; their average is elsewhere
        if not training:
            return tf.nn.batch_normalization(inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon)
        # the assigner first, as in the recipe
        self.assigner = self.ewma.apply([self.mean, self.variance])
        self.moving_mean, self.moving_variance = self.ewma.average(self.mean), self.ewma.average(self.variance)
        mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
        with tf.control_dependencies([self.mean.assign(mean), self.variance.assign(variance)]):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """The recipe: a group inside the block, of assigners from outside it."""
        update_assignments = tf.group(*[layer.assigner for layer in layers])
        step = optimizer.minimize(loss)
        with tf.control_dependencies([step]):
            return tf.group(update_assignments)
