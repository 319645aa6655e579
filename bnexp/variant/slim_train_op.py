"""Batch norm with slim's create_train_op: the update ops become a barrier before the loss.

    moving = decay * moving + (1 - decay) * batch

The second answer on the page with the printed iterations: keep slim's layer, which leaves its updates in UPDATE_OPS,
and replace `optimizer.minimize` by `slim.learning.create_train_op`, which makes the total loss wait for every one of
them. With `minimize` left as it is, nothing runs the updates: that is the wrong `update_ops_forgotten`.

Implementation details
  1. A barrier before the loss differs from dependencies of `minimize` (see `update_ops`) in one thing: whoever merely
     evaluates the loss *behind the barrier* moves the statistics. That loss stays inside the train op, as in slim.
  2. slim warns where the caller passes fewer updates than the collection holds; here it always gets them all.

References:
  [1] tf_slim/training/training.py, create_train_op.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import PRINTED, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A slim layer; its updates wait in UPDATE_OPS."""

    traits = Traits(document=f"{PRINTED}, answer 2", flag="python", attachment="update_ops")

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        if not training:
            mean, variance = self.moving_mean, self.moving_variance
        else:
            mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, average(self.moving_mean, mean, self.decay))
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, average(self.moving_variance, variance, self.decay))
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Computes the gradients of a loss that waits for every op of UPDATE_OPS."""
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            barrier = tf.no_op(name="update_barrier")
        with tf.control_dependencies([barrier]):
            total_loss = tf.identity(loss)
        # as create_train_op returns it: gradients alone do not need the loss's value, and would pass the barrier by
        return tf.group(optimizer.minimize(total_loss), total_loss)
