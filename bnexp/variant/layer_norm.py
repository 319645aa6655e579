"""COMPARISON: layer normalisation, which looks at one example at a time and keeps no statistics.

    mean, variance: of each example, over its channels (and positions)

Keras 1 had it as mode 1 of its batch norm, "sample-wise"; the author of the wiki page called that mode 3 by mistake. By
construction, what an example comes out as cannot depend on its batch, neither in training nor at inference.

References:
  [1] Ba, Kiros and Hinton. Layer Normalization. 2016. https://arxiv.org/abs/1607.06450
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import LAYER_NORM, WIKI, Traits, new_affine

v1 = tf.compat.v1


class BatchNorm:
    """Normalises each example by itself, all channels together."""

    traits = Traits(
        document=f"{LAYER_NORM}; {WIKI}, Keras mode 1",
        flag="python",
        attachment="none",
        moving="none",
        training_uses="example",
        inference_uses="example",
        verdict="no_statistics",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Normalises `inputs`; `training` makes no difference."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
        mean, variance = tf.nn.moments(inputs, list(range(1, len(inputs.shape))), keepdims=True)
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`."""
        return optimizer.minimize(loss)
