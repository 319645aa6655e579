"""WRONG: the layer left in training mode at inference; its statistics are right and nobody reads them.

    y = batch_normalization(x, training=True)        # everywhere

In large batches it looks well. One example at a time a dense layer's variance is 0 and every input comes out as beta:
Udacity's lesson shows .95 on the full test set and .05 on single images. A convolution at batch_size=1 still has its
positions to average over and becomes an instance norm. Keras 1's batch norm did this by design in its mode 2; the wiki
page tells of emulating the Keras modes, and of mixing them up.

Cure: tell the layer which mode it is in (variant `update_ops`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import UDACITY, WIKI, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer that always normalises with the batch that it is given."""

    traits = Traits(
        document=f"{WIKI}, Keras modes; {UDACITY}",
        flag="python",
        attachment="update_ops",
        inference_uses="batch",
        verdict="batch_statistics_at_inference",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Normalises with the batch, whatever `training` says."""
        with v1.variable_scope(self.name, reuse=v1.AUTO_REUSE):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        mean, variance = batch_moments(inputs)
        if training:  # the inference tower's own updates would only be two more ops that nothing runs
            self.batch_mean, self.batch_variance = mean, variance
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, average(self.moving_mean, mean, self.decay))
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, average(self.moving_variance, variance, self.decay))
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Minimises `loss` after every op of UPDATE_OPS has run."""
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            return optimizer.minimize(loss)
