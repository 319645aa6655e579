"""Today's Keras 3 layer, as it is.

    moving = momentum * moving + (1 - momentum) * batch        # Keras calls decay `momentum`

Keras creates its two assignments and ties them to nothing: inside a `tf.function`, as `fit` and eager code have it,
automatic control dependencies run every stateful op of the body, and the updates happen. So the call is wrapped in one
here. In a bare TF1-style graph the same layer's updates would never run, as in the wrong `update_ops_forgotten`.

Implementation details
  1. Keras 3 averages the biased variance for every rank; tf.keras of TensorFlow 2.15 and before averaged the
     Bessel-corrected one for rank 4. Moving a convolutional model from one to the other changes its moving variance by
     n / (n - 1).
  2. `trainable = False` puts a Keras layer into inference mode, training or not; see variant `frozen`.

References:
  [1] https://keras.io/api/layers/normalization_layers/batch_normalization/
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import KERAS, Traits


class BatchNorm:
    """tf.keras.layers.BatchNormalization inside a `tf.function`."""

    traits = Traits(document=f"{KERAS}, as documented", flag="python", attachment="in_place")

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self._layer = tf.keras.layers.BatchNormalization(momentum=decay, epsilon=epsilon, name=name)

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        if training:
            self._layer.build(inputs.shape)
            self.moving_mean = self._layer.moving_mean.value
            self.moving_variance = self._layer.moving_variance.value
        return tf.function(lambda x: self._layer(x, training=training), autograph=False)(inputs)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the function's output waits for the updates."""
        return optimizer.minimize(loss)
