"""CONTROL: no batch normalisation at all.

    y = x

Seed 1 ends with it: "if I set batch_norm_layer to null ... the inference results are all the same". A net without batch
norm that was tuned for one may well die (all its ReLUs at 0) and then says one class; that is the net, not the layer.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import Traits


class BatchNorm:
    """Returns its inputs."""

    traits = Traits(
        document="seed 1, batch_norm_layer set to null",
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
