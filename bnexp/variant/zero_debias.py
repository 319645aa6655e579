"""Batch norm whose moving statistics are zero-debiased, as assign_moving_average does by default since TensorFlow 1.0.

    biased = decay * biased + (1 - decay) * batch           # starts at 0
    moving = biased / (1 - decay**t)                        # t updates so far

After one step the moving mean *is* the batch mean and the initial values are forgotten: with few steps this is the
better average. It came as a silent change of a default (zero_debias=True). So layers written before it, such as
versions 3 and 4 of "How to use Batch Normalization correctly in tensorflow?" and both answers there, average
differently on every later TensorFlow. Its near twin `debias_from_ones` debiases an average that did not start at 0 and
is wrong.

Implementation details
  1. Both statistics are debiased; contrib's own `zero_debias_moving_mean` debiased the mean alone.
  2. `biased` and `local_step` are variables of their own, one pair a statistic: they are saved, they change what
     `get_collection` returns, and under `reuse=True` the literal helper raises because it did not create them.
  3. Before the first update the statistics are 0 and 1, since 1 - decay**0 = 0 cannot be divided by.
  4. float32 rounds 1 - decay**t: at decay .999 the first average has a relative error of up to 2e-5.

References:
  [1] tensorflow/python/training/moving_averages.py, `zero_debias`.
  [2] Kingma and Ba. Adam. 2014. https://arxiv.org/abs/1412.6980, section 3.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import QUESTION, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer with debiased statistics; its training output waits for its updates."""

    traits = Traits(
        document=f"{QUESTION}, versions 3 and 4 and answer 1, on TensorFlow 1.0 and later",
        flag="python",
        attachment="in_place",
        moving="zero_debias",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        if not training:
            return tf.nn.batch_normalization(inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon)
        mean, variance = self.batch_mean, self.batch_variance = batch_moments(inputs)
        updates = [self._debiased(self.moving_mean, mean), self._debiased(self.moving_variance, variance)]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    def _debiased(self, moving: tf.Variable, batch: tf.Tensor) -> tf.Operation:
        with v1.variable_scope(moving.name.split(":")[0]):
            biased = v1.get_variable("biased", moving.shape, initializer=v1.zeros_initializer(), trainable=False)
            local_step = v1.get_variable("local_step", [], initializer=v1.zeros_initializer(), trainable=False)
        new_biased = average(biased, batch, self.decay)
        step = local_step.assign_add(1.0, read_value=True)
        return moving.assign(new_biased / (1 - tf.pow(self.decay, step)))

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss already waits for the updates."""
        return optimizer.minimize(loss)
