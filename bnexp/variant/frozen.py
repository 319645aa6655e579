"""CONTROL: a frozen layer: the batch's statistics are neither used nor averaged, gamma and beta still trained.

    y = (x - moving_mean) / sqrt(moving_variance + epsilon) * gamma + beta        # in training too

This is what `trainable = False` means to a Keras layer since TensorFlow 2 (inference mode even under training=True),
and what detection networks do with the statistics of a backbone trained before. In a layer frozen from the start, as
here, the statistics are those of no data: 0 and 1. In tf_slim and TF1 `trainable=False` froze only gamma and beta, and
the statistics went on moving.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import DETECTRON2, KERAS, Traits, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer in inference mode for good."""

    traits = Traits(
        document=f"{KERAS}, trainable=False; {DETECTRON2}",
        flag="python",
        attachment="none",
        moving="never",
        training_uses="moving",
        verdict="moving_statistics_in_training",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        return tf.nn.batch_normalization(inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`."""
        return optimizer.minimize(loss)
