"""CONTROL: no batch normalisation at all.

    y = x

"How to use Batch Normalization correctly in tensorflow?" ends with it: "if I set batch_norm_layer to null ... the
inference result are all same". A network that was tuned with batch norm may well die without it, all its ReLUs at 0,
and then predicts one class for every input. That is the network's doing, not the layer's.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import QUESTION, Traits


class BatchNorm:
    """A layer that returns its inputs."""

    traits = Traits(
        document=f"{QUESTION}, batch_norm_layer set to null",
        flag="python",
        attachment="none",
        moving="none",
        training_uses="nothing",
        inference_uses="nothing",
        verdict="no_statistics",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name = name

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns `inputs`."""
        return inputs

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`."""
        return optimizer.minimize(loss)
