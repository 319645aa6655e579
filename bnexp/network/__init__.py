"""What a network is: a function of its inputs and of a batch norm.

A network takes `batch_norm(inputs, name)` as an argument, so that the same code runs with every variant, in training
and at inference, and alone decides where the layers stand and what they are called. Weights come from `weight` below:
drawn from the seed and the name, they do not depend on the variant, the engine or the order of creation.
"""

from collections.abc import Callable
from typing import Protocol
from zlib import crc32

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

ApplyBatchNorm = Callable[[tf.Tensor, str], tf.Tensor]


class Network(Protocol):
    """Builds one forward pass."""

    def __call__(self, inputs: tf.Tensor, *, batch_norm: ApplyBatchNorm, num_classes: int, seed: int) -> tf.Tensor:
        """Returns logits [batch, num_classes] float32 of `inputs` [batch, ...] float32."""
        ...


def weight(name: str, shape: list[int], *, seed: int, gain: float = 2.0) -> tf.Variable:
    """Returns the trainable variable `name`, the same one to every tower.

    Args:
        name: unique in the network.
        shape: [inputs, outputs] of a dense layer, [height, width, inputs, outputs] of a convolution.
        seed: with `name`, decides the initial values.
        gain: variance of the initial values times the fan-in: 2 before a ReLU (He et al. 2015), 1 before a sigmoid.
    """
    fan_in = int(np.prod(shape[:-1]))
    draws = np.random.default_rng([seed, crc32(name.encode())]).normal(size=shape) * np.sqrt(gain / fan_in)
    with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
        return v1.get_variable(name, initializer=draws.astype(np.float32))


def classifier(features: tf.Tensor, *, num_classes: int, seed: int) -> tf.Tensor:
    """Returns the logits [batch, num_classes] of a last dense layer with a bias; no batch norm follows it."""
    kernel = weight("logits/kernel", [features.shape[-1], num_classes], seed=seed, gain=1.0)
    with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
        bias = v1.get_variable("logits/bias", [num_classes], initializer=v1.zeros_initializer())
    return tf.matmul(features, kernel) + bias
