"""COMPARISON: group normalisation, which looks at one example at a time and keeps no statistics.

    mean, variance: of each example, over its positions and the channels of a group

Many take it to be rid of the moving statistics: training and inference do the same, at any batch size.

Implementation details
  1. `groups` must divide the layer's channels; one that does not is lowered to the greatest common divisor of the two.

References:
  [1] Wu and He. Group Normalization. 2018. https://arxiv.org/abs/1803.08494
"""

from collections.abc import Sequence
from math import gcd
from typing import Any

import tensorflow as tf

from bnexp.variant import GROUP_NORM, Traits, new_affine

v1 = tf.compat.v1


class BatchNorm:
    """Normalises each example by itself, channels in groups.

    Args:
        groups: the number of groups that the channels are cut into; 1 is layer normalisation.
    """

    traits = Traits(
        document=str(GROUP_NORM),
        flag="python",
        attachment="none",
        moving="none",
        training_uses="example",
        inference_uses="example",
        verdict="no_statistics",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float, groups: int) -> None:
        self.name, self.epsilon, self.groups = name, epsilon, groups

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Normalises `inputs`; `training` makes no difference."""
        channels = inputs.shape[-1]
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(channels)
        groups = gcd(self.groups, channels)
        grouped = tf.reshape(inputs, [-1, *inputs.shape[1:-1], groups, channels // groups])
        axes = [axis for axis in range(1, len(grouped.shape)) if axis != len(grouped.shape) - 2]
        mean, variance = tf.nn.moments(grouped, axes, keepdims=True)
        normalised = (grouped - mean) * tf.math.rsqrt(variance + self.epsilon)
        return tf.reshape(normalised, [-1, *inputs.shape[1:]]) * gamma + beta

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`."""
        return optimizer.minimize(loss)
