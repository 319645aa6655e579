"""COMPARISON: ghost batch normalisation: a large batch normalised in parts, as if it were several small ones.

    part j = rows j, j + parts, j + 2 * parts, ...                            # interleaved, as in tf.keras
    moving_variance = decay * moving_variance + (1 - decay) * mean over parts of the parts' variances

How far the parts' means lie *apart* is in no part's variance, so the moving variance comes out lower than the
population's. A comment in tf.keras (virtual_batch_size) calls that "not strictly correct", and Keras 3 dropped the
option; timm's SplitBatchNorm takes contiguous parts.

Implementation details
  1. A batch that `parts` does not divide is split into parts that differ by one row; tf.keras raises an error.

References:
  [1] Hoffer, Hubara and Soudry. Train longer, generalize better. 2017. https://arxiv.org/abs/1705.08741
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import Traits, average, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer that normalises each of several interleaved parts of the batch by itself.

    Args:
        parts: the number of parts that a training batch is cut into; 1 is plain batch norm.
    """

    traits = Traits(
        document="tf.keras, virtual_batch_size",
        flag="python",
        attachment="in_place",
        moving="ghost_ema",
        training_uses="ghost",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float, parts: int) -> None:
        self.name, self.decay, self.epsilon, self.parts = name, decay, epsilon, parts

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        if not training:
            return tf.nn.batch_normalization(inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon)
        # member[n, j] is 1 where row n belongs to part j: a product with it sums over a part, however long
        member = tf.one_hot(tf.range(tf.shape(inputs)[0]) % self.parts, self.parts)
        rows = tf.reshape(inputs, [tf.shape(inputs)[0], -1, inputs.shape[-1]])  # [batch, positions, channels]
        counts = tf.reduce_sum(member, axis=0) * tf.cast(tf.shape(rows)[1], tf.float32)
        share = member / tf.maximum(counts, 1.0)
        means = tf.einsum("nj,npc->jc", share, rows)  # [parts, channels]
        centred = rows - tf.matmul(member, means)[:, None, :]
        variances = tf.einsum("nj,npc->jc", share, centred**2)
        used = tf.cast(counts > 0, tf.float32)[:, None] / tf.reduce_sum(tf.cast(counts > 0, tf.float32))
        self.batch_mean, self.batch_variance = tf.reduce_sum(used * means, 0), tf.reduce_sum(used * variances, 0)
        updates = [
            average(self.moving_mean, self.batch_mean, self.decay),
            average(self.moving_variance, self.batch_variance, self.decay),
        ]
        with tf.control_dependencies(updates):
            scale = tf.matmul(member, tf.math.rsqrt(variances + self.epsilon))[:, None, :]
            return tf.reshape(centred * scale, tf.shape(inputs)) * gamma + beta

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss waits for the updates."""
        return optimizer.minimize(loss)
