"""What a batch-norm variant is, and what it claims about itself.

A variant is one file here and one YAML of the same name in `conf/variant`. Its class is instantiated once a layer and
called once a tower: once in all where the training flag is a tensor, twice (training, then inference) where it is a
Python bool. Nothing registers a variant and nothing here imports one: Hydra finds it by its `_target_`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import tensorflow as tf


@dataclass(frozen=True)
class Traits:
    """What a variant claims; the conformance suite checks every claim against `bnexp.reference`.

    Attributes:
        flag: how the layer learns its mode: `"tensor"`, a bool tensor fed with every call, or `"python"`, a Python bool
            and therefore two towers in one graph.
        attachment: what makes the update ops run: `"in_place"` (control dependencies of the layer's own output),
            `"update_ops"` (tf.GraphKeys.UPDATE_OPS, run by the train op), `"own_collection"` (another collection, run by
            the train op) or `"assigner"` (an op of the layer's that the train op runs after the step).
        moving: the recurrence of the statistics; `"ema"` is `moving = decay * moving + (1 - decay) * batch`.
        variance_ddof: by the rank of the layer's input, 0 where the moving variance averages biased batch variances and 1
            where it averages Bessel-corrected ones. The batch itself is always normalised with its biased variance.
        initial_mean: moving mean before the first update.
        initial_variance: moving variance before the first update.
        document: where the variant is written down.
    """

    flag: Literal["tensor", "python"]
    attachment: Literal["in_place", "update_ops", "own_collection", "assigner"]
    moving: Literal["ema"] = "ema"
    variance_ddof: Mapping[int, int] = field(default_factory=lambda: {2: 0, 4: 0})
    initial_mean: float = 0.0
    initial_variance: float = 1.0
    document: str = ""


class BatchNorm(Protocol):
    """One batch-norm layer of a TF1-style graph.

    Attributes:
        traits: the variant's claims.
        moving_mean: [channels] float32 variable that inference reads.
        moving_variance: [channels] float32 variable that inference reads.
    """

    traits: Traits
    moving_mean: tf.Variable
    moving_variance: tf.Variable

    def __call__(self, inputs: tf.Tensor, training: Any) -> tf.Tensor:
        """Normalises `inputs` [batch, ..., channels] float32; `training` is a Python bool or a bool tensor."""
        ...

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence["BatchNorm"]) -> tf.Operation:
        """Returns the op that one training step runs, the way the variant's users write it."""
        ...
