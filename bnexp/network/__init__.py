"""What a network is: a function of its inputs and of a batch norm.

A network takes `batch_norm(inputs, name)` as an argument, so that the same code runs with every variant, in training
and at inference. The network alone decides where its batch norms stand and what they are called. Weights come from
`weight` below: drawn from the seed and the name, they depend neither on the variant nor on the engine or the order of
creation.
"""

from collections.abc import Callable, Sequence
from typing import Protocol
from zlib import crc32

import numpy as np
import tensorflow as tf

from bnexp.errors import UserError

v1 = tf.compat.v1

ApplyBatchNorm = Callable[[tf.Tensor, str], tf.Tensor]


class Network(Protocol):
    """Builds one forward pass."""

    def __call__(self, inputs: tf.Tensor, *, batch_norm: ApplyBatchNorm, num_classes: int, seed: int) -> tf.Tensor:
        """Returns the logits of one forward pass, [batch, num_classes] float32.

        Args:
            inputs: the examples of a batch, [batch, ...] float32.
            batch_norm: called with a tensor [batch, ..., channels] and a layer's name; returns the tensor, normalised.
            num_classes: the number of logits an example.
            seed: decides the initial weights.
        """
        ...


def weight(name: str, shape: list[int], *, seed: int, gain: float = 2.0) -> tf.Variable:
    """Returns the trainable variable `name`, the same one to every tower.

    Args:
        name: the variable's name, unique in the network: two calls with one name give one variable.
        shape: its shape, [inputs, outputs] for a dense layer, [height, width, inputs, outputs] for a convolution.
        seed: decides the initial values, together with `name`.
        gain: the variance of the initial values is `gain` divided by the number of inputs that a unit sums: 2 before a
            ReLU (He et al. 2015), 1 before a sigmoid.
    """
    fan_in = int(np.prod(shape[:-1]))
    draws = np.random.default_rng([seed, crc32(name.encode())]).normal(size=shape) * np.sqrt(gain / fan_in)
    with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
        return v1.get_variable(name, initializer=draws.astype(np.float32))


def classifier(features: tf.Tensor, *, num_classes: int, seed: int) -> tf.Tensor:
    """Returns the logits [batch, num_classes] of a last dense layer with a bias; no batch norm follows it.

    Args:
        features: what the layers before it put out, [batch, channels] float32.
        num_classes: the number of logits an example.
        seed: decides the layer's initial weights; the bias starts at 0.
    """
    kernel = weight("logits/kernel", [features.shape[-1], num_classes], seed=seed, gain=1.0)
    with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
        bias = v1.get_variable("logits/bias", [num_classes], initializer=v1.zeros_initializer())
    return tf.matmul(features, kernel) + bias


def check_sizes(sizes: Sequence[int], key: str) -> None:
    """Raises UserError unless the sizes of a network's layers are whole numbers, each 1 or more.

    Args:
        sizes: units or channels, one number a layer.
        key: the network's argument, `"widths"`, with which the message begins.
    """
    if not (isinstance(sizes, Sequence) and not isinstance(sizes, str) and sizes and all(map(_is_size, sizes))):
        raise UserError(
            f"network.{key} must be a list of whole numbers, each 1 or more, got {sizes}. "
            f"Write network.{key}='[16,32]', one number a layer."
        )


def _is_size(value: object) -> bool:
    return type(value) is int and value >= 1
