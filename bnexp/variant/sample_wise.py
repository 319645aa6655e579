"""COMPARISON: sample-wise normalisation, Keras 1's mode 1, which seed 0 calls mode 3.

    mean, variance: of each example, over its channels (and positions)

Today it is called layer normalisation. Its outputs at inference cannot depend on the batch, by construction.

References:
  [1] Ba, Kiros and Hinton. Layer Normalization. 2016. https://arxiv.org/abs/1607.06450
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import Traits, new_affine

v1 = tf.compat.v1


class BatchNorm:
    """Normalises each example by itself, all channels together."""

    traits = Traits(
        document="seed 0, Keras 1 mode 1",
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
