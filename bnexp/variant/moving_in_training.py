"""WRONG: training normalises with the moving statistics, though it keeps updating them.

    y = (x - moving_mean) / sqrt(moving_variance + epsilon)        # in training too

It happens where the layer is called in inference mode while the script runs its update ops by hand, or where somebody
means to make training do what inference does. The statistics chase the activations, the gradients know nothing of the
normalisation, and training may diverge: section 2 of the paper on batch normalization describes exactly this failure.

Cure: normalise with the batch while training (variant `update_ops`); batch renormalisation (variant `renorm`) is the
way to bring the two together.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import PAPER, PYTORCH, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer that normalises with its averages while it still trains."""

    traits = Traits(
        document=f"{PAPER}, section 2; {PYTORCH}",
        flag="python",
        attachment="update_ops",
        training_uses="moving",
        ordered=False,
        verdict="moving_statistics_in_training",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        if training:
            self.batch_mean, self.batch_variance = batch_moments(inputs)
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, average(self.moving_mean, self.batch_mean, self.decay))
            v1.add_to_collection(
                v1.GraphKeys.UPDATE_OPS, average(self.moving_variance, self.batch_variance, self.decay)
            )
        return tf.nn.batch_normalization(inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Minimises `loss`, and runs UPDATE_OPS beside it."""
        return tf.group(optimizer.minimize(loss), *v1.get_collection(v1.GraphKeys.UPDATE_OPS))
