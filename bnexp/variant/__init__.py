"""What a batch-norm variant is, what it claims about itself, and the few parts that variants are written with.

A variant is one file here and one YAML of the same name in `conf/variant`. Its class is instantiated once a layer and
called once a tower: once in all where the training flag is a tensor, twice (training, then inference) where it is a
Python bool. Nothing registers a variant and nothing here imports one: Hydra finds it by its `_target_`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

Moving = Literal[
    "ema", "zero_debias", "stddev_ema", "ghost_ema", "never", "double", "swapped", "late", "debias_from_ones", "none"
]


@dataclass(frozen=True)
class Traits:
    """What a variant claims; the conformance suite checks every claim against `bnexp.reference`.

    The defaults are those of a right variant, so that a wrong one's traits say how it is wrong.

    Attributes:
        document: where the variant is written down.
        flag: how the layer learns its mode: `"tensor"`, a bool tensor fed with every call, or `"python"`, a Python bool
            and therefore two towers in one graph.
        attachment: what makes the update ops run: `"in_place"` (dependencies of the layer's own output), `"update_ops"`
            (tf.GraphKeys.UPDATE_OPS, run by the train op), `"own_collection"` (another collection, run by the train
            op), `"train_ops"` (ops that the layer keeps for the train op), `"assigner"` (an op that the train op runs
            after the step), `"nothing"` or `"none"` (there are none).
        moving: the recurrence of the statistics that inference reads, as `bnexp.reference` spells it out: `"ema"` is
            `moving = decay * moving + (1 - decay) * batch`.
        variance_ddof: by the rank of the layer's input, 0 where the moving variance averages biased batch variances, 1
            where it averages Bessel-corrected ones. The batch itself is always normalised with its biased variance.
        initial_mean: moving mean before the first update.
        initial_variance: moving variance before the first update.
        training_uses: what a training call normalises with: the `"batch"`, the `"moving"` statistics, `"ghost"`
            batches, `"renorm"`, a part of each `"example"` alone, or `"nothing"`.
        inference_uses: what an inference call normalises with: `"moving"`, the `"batch"` it is given, an `"example"`
            alone, or `"nothing"`.
        inference_updates: whether an inference call moves the statistics, by the same recurrence.
        monitoring_updates: whether the script's way of watching held-out data while training does.
        ordered: whether the graph orders every read of a statistic against its write.
        verdict: the word of the diagnosis, where nothing lags.
    """

    document: str = ""
    flag: Literal["tensor", "python"] = "tensor"
    attachment: Literal["in_place", "update_ops", "own_collection", "train_ops", "assigner", "nothing", "none"] = (
        "in_place"
    )
    moving: Moving = "ema"
    variance_ddof: Mapping[int, int] = field(default_factory=lambda: {2: 0, 4: 0})
    initial_mean: float = 0.0
    initial_variance: float = 1.0
    training_uses: Literal["batch", "moving", "ghost", "renorm", "example", "nothing"] = "batch"
    inference_uses: Literal["moving", "batch", "example", "nothing"] = "moving"
    inference_updates: bool = False
    monitoring_updates: bool = False
    ordered: bool = True
    verdict: str = "healthy"


class BatchNorm(Protocol):
    """One batch-norm layer of a TF1-style graph; one that keeps statistics is an `AveragingBatchNorm`."""

    traits: Traits

    def __call__(self, inputs: tf.Tensor, training: Any) -> tf.Tensor:
        """Normalises `inputs` [batch, ..., channels] float32; `training` is a Python bool or a bool tensor."""
        ...

    def train_op(self, optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Returns the op that one training step runs, the way the variant's users write it; static where it can be."""
        ...


class AveragingBatchNorm(BatchNorm, Protocol):
    """A layer that keeps moving statistics.

    Where `batch_mean` and `batch_variance` are given too, they are the tensors that the updates read.

    Attributes:
        moving_mean: the [channels] float32 variable that inference reads.
        moving_variance: likewise.
    """

    moving_mean: tf.Variable
    moving_variance: tf.Variable


def new_affine(channels: int) -> tuple[tf.Variable, tf.Variable]:
    """Returns the variables `gamma` (ones) and `beta` (zeros), [channels], of the current variable scope."""
    return (
        v1.get_variable("gamma", [channels], initializer=v1.ones_initializer()),
        v1.get_variable("beta", [channels], initializer=v1.zeros_initializer()),
    )


def new_moving(channels: int, initial_variance: float = 1.0) -> tuple[tf.Variable, tf.Variable]:
    """Returns the variables `moving_mean` (zeros) and `moving_variance`, [channels], of the current variable scope."""
    constant = v1.constant_initializer(initial_variance)
    return (
        v1.get_variable("moving_mean", [channels], initializer=v1.zeros_initializer(), trainable=False),
        v1.get_variable("moving_variance", [channels], initializer=constant, trainable=False),
    )


def batch_moments(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns mean and biased variance, [channels], of `inputs` [batch, ..., channels]."""
    mean, variance = tf.nn.moments(inputs, list(range(len(inputs.shape) - 1)))
    return mean, variance


def bessel(inputs: tf.Tensor) -> tf.Tensor:
    """Returns n / (n - 1), [] float32, for the n values a channel of `inputs`; 1 where n is 1, as fused kernels do."""
    count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:-1]), tf.float32)
    return count / tf.maximum(count - 1.0, 1.0)


def unbiased(variance: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """Returns the biased batch variance of `inputs`, [channels], with Bessel's correction."""
    return rounded(variance) * bessel(inputs)


def average(moving: tf.Variable, batch: tf.Tensor, decay: float) -> tf.Tensor:
    """Makes the op `moving = decay * moving + (1 - decay) * batch`, the way assign_moving_average writes it."""
    return moving.assign_sub(rounded((moving - rounded(batch)) * (1 - decay)), read_value=True)


def rounded(product: tf.Tensor) -> tf.Tensor:
    """Returns `product` as it is, but keeps a compiler from doing it together with what follows.

    A batch mean is sum * (1 / n) to XLA. Whether it makes that and a subtraction one fused multiply-add, or that and
    another factor one factor, depends on whatever else it compiles beside it: the average would move towards another
    number than the batch mean that is recorded, and would not be the same number in another program.
    """
    return tf.where(tf.math.is_nan(product), np.nan, product)
