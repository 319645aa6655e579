"""Batch norm as tflearn writes it, with its mode variable switched on for training.

    moving = decay * moving + (1 - decay) * batch

tflearn takes no flag: every layer reads one bool *variable*, `is_training`, which starts False. tflearn's own trainer
sets it; whoever trains without that trainer must call `tflearn.is_training(True, session)`. The author of "Does batch
normalization in tensorflow use running averages during training?" did not: that is the near twin
`tflearn_untrained_flag`, and wrong. The answer given there, to run UPDATE_OPS, cannot help, for tflearn puts nothing
into that collection.

Implementation details
  1. Here the variable is set at the start of every call, from the flag that the engine feeds; the layer then branches
     on the variable, never on the flag.
  2. The variable is saved with the model: one restored from the middle of training starts in training mode.
  3. tflearn draws gamma from N(1, 0.002) and uses epsilon 1e-5; here gamma starts at 1 and epsilon is the configured
     one, so that statistics and outputs have a closed form.

References:
  [1] tflearn/layers/normalization.py and tflearn/config.py.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import TFLEARN, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1

SWITCHED_MODE = "tflearn_switched_mode"


class BatchNorm:
    """A tflearn layer, switched by a variable."""

    traits = Traits(document=f"{TFLEARN}, with tflearn.is_training called", flag="tensor", attachment="in_place")

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        """Sets the mode variable to `training` and follows it."""
        with v1.variable_scope(self.name):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        mean, variance = tf.cond(
            self._switched(training),
            lambda: self._update(inputs),
            lambda: (self.moving_mean.read_value(), self.moving_variance.read_value()),
        )
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    def _switched(self, training: tf.Tensor) -> tf.Tensor:
        if not v1.get_collection(SWITCHED_MODE):  # the first layer throws the switch for all
            mode = v1.get_variable("is_training", [], tf.bool, v1.zeros_initializer(), trainable=False)
            with tf.control_dependencies([mode.assign(training)]):
                v1.add_to_collection(SWITCHED_MODE, mode.read_value())
        return v1.get_collection(SWITCHED_MODE)[0]

    def _update(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, variance = batch_moments(inputs)
        updates = [
            average(self.moving_mean, mean, self.decay),
            average(self.moving_variance, variance, self.decay),
        ]
        with tf.control_dependencies(updates):
            return tf.identity(mean), tf.identity(variance)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss already waits for the updates."""
        return optimizer.minimize(loss)
