"""WRONG: a `tf.cond` whose training branch waits for assignments that were made outside it.

    update = assign(...)                                        # here
    tf.cond(flag, lambda: after(update, batch), lambda: moving) # and only named there

The broken class of the wiki page: "in test mode, the running mean and std still get updated". A branch that merely uses
an outside op makes that op an input of the whole `tf.cond`, and inputs are computed before a branch is chosen.

Implementation details
  1. The class itself is no longer to be found; this is the mechanism that the page describes. It writes
     `tf.control_dependencies(boolVar, callableA, callableB)` and means `tf.cond`.
  2. The inference branch reads the statistics after the leak, for the updated ones are inputs of the same `tf.cond`.

Cure: make the assignments inside the branch (variants `cond`, `contrib`).
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bnexp.variant import WIKI, Traits, average, batch_moments, new_affine, new_moving

v1 = tf.compat.v1


class BatchNorm:
    """A layer whose updates are inputs of the `tf.cond` that should guard them."""

    traits = Traits(
        document=f'{WIKI}, class "UseBatchAndUpdateAvg"',
        flag="tensor",
        attachment="in_place",
        inference_updates=True,
        ordered=False,
        verdict="leaks_at_inference",
    )

    def __init__(self, *, name: str, decay: float, epsilon: float) -> None:
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs: tf.Tensor, training: tf.Tensor) -> tf.Tensor:
        """Normalises with the batch where `training` is true, with the moving statistics where it is false."""
        with v1.variable_scope(self.name):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
        self.batch_mean, self.batch_variance = batch_moments(inputs)
        updated_mean = average(self.moving_mean, self.batch_mean, self.decay)
        updated_variance = average(self.moving_variance, self.batch_variance, self.decay)

        def batch_after_updates() -> tuple[tf.Tensor, tf.Tensor]:
            with tf.control_dependencies([tf.identity(updated_mean), tf.identity(updated_variance)]):
                return tf.identity(self.batch_mean), tf.identity(self.batch_variance)

        mean, variance = tf.cond(
            training,
            batch_after_updates,
            lambda: (self.moving_mean.read_value(), self.moving_variance.read_value()),
        )
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Plain `minimize`: the loss waits for the updates, as does everything else."""
        return optimizer.minimize(loss)
