"""WRONG: the layer called twice in the training graph, so that one step applies the average twice.

    moving = decay * (decay * moving + (1 - decay) * batch) + (1 - decay) * batch        # .19 of the batch at decay .9

Two calls of tf.layers.batch_normalization on the same scope (`reuse=True`: two towers, a siamese network, a second
head) share the variables and leave four update ops in UPDATE_OPS, and one run of the collection runs them all. The
decay that acts is the square of the one that was asked for.

Implementation details
  1. Both calls see the same inputs here. The second update is made after the first, which tf.layers does not do:
     unordered, both may read the old value, and the batch then sometimes weighs .20 instead of .19.

Cure: collect only the first call's updates, or share the layer's output instead of calling it again (variant
`update_ops`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer whose updates are collected twice."""

    traits = Traits(
        document="tf.layers with reuse=True, four ops in UPDATE_OPS",
        flag="python",
        attachment="update_ops",
        moving="double",
        verdict="double_update",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
            updates: list[tf.Tensor] = []
            for _ in ("first call", "second call"):
                with tf.control_dependencies(updates):
                    updates = [
                        average(self.moving_mean, mean, self.decay),
                        average(self.moving_variance, variance, self.decay),
                    ]
                for update in updates:
                    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Minimises `loss` after every op of UPDATE_OPS has run, the second call's too."""
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            return optimizer.minimize(loss)
