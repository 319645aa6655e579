"""COMPARISON: batch renormalisation, which corrects the batch's statistics towards the moving ones while it trains.

    r = clip(stddev_batch / stddev_moving, 1 / rmax, rmax)
    d = clip((mean_batch - mean_moving) / stddev_moving, -dmax, dmax)
    y = (x - mean_batch) / stddev_batch * r + d                 # r and d are constants to the gradient

With rmax 1 and dmax 0 it is batch norm; without clipping, training normalises exactly as inference will. It is the one
right variant whose training *reads* its moving statistics, those from before the step, so no other variant's training
can stand for it. Its near twin `moving_in_training` normalises with the moving statistics alone and is wrong.

Implementation details
  1. What moves is the standard deviation, sqrt(variance + epsilon), not the variance: one step takes a moving variance
     of 1 to (decay + (1 - decay) * sqrt(v + epsilon))**2 - epsilon, roughly, and that is no average of variances.
  2. The paper widens rmax and dmax in the course of training; here they are constants, the paper's final values unless
     configured otherwise.

References:
  [1] Ioffe. Batch Renormalization. 2017. https://arxiv.org/abs/1702.03275, Algorithm 1.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import RENORM, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer that corrects the batch's statistics towards the moving ones.

    Args:
        rmax: the bound of the corrected scale, r in [1 / rmax, rmax]; 1 or more, and 1 leaves the batch's scale.
        dmax: the bound of the corrected shift, d in [-dmax, dmax], in moving standard deviations; 0 leaves the mean.
    """

    traits = Traits(
        document=str(RENORM),
        flag="python",
        attachment="in_place",
        moving="stddev_ema",
        training_uses="renorm",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float, rmax: float, dmax: float) -> None:
        self.name, self.decay, self.epsilon, self.rmax, self.dmax = name, decay, epsilon, rmax, dmax

    def __call__(self, inputs: tf.Tensor, training: bool) -> tf.Tensor:
        """Builds the training tower (`training=True`, first) or the inference tower (`False`) of this layer."""
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        if not training:
            return tf.nn.batch_normalization(inputs, self.moving_mean, self.moving_variance, beta, gamma, self.epsilon)
        with v1.variable_scope(self.name):
            # sqrt(1 + epsilon): what moving_variance = 1 means
            start = v1.constant_initializer((1 + self.epsilon) ** 0.5)
            moving_stddev = v1.get_variable("moving_stddev", [inputs.shape[-1]], initializer=start, trainable=False)
        mean, variance = batch_moments(inputs)
        stddev = tf.sqrt(variance + self.epsilon)
        before_mean, before_stddev = self.moving_mean.read_value(), moving_stddev.read_value()
        r = tf.stop_gradient(tf.clip_by_value(stddev / before_stddev, 1 / self.rmax, self.rmax))
        d = tf.stop_gradient(tf.clip_by_value((mean - before_mean) / before_stddev, -self.dmax, self.dmax))
        with tf.control_dependencies([r, d]):
            new_stddev = average(moving_stddev, stddev, self.decay)
            updates = [
                average(self.moving_mean, mean, self.decay),
                self.moving_variance.assign(tf.nn.relu(new_stddev**2 - self.epsilon)),
            ]
        with tf.control_dependencies(updates):
            return ((inputs - mean) / stddev * r + d) * gamma + beta

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss waits for the updates."""
        return optimizer.minimize(loss)
