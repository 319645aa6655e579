"""What a batch-norm variant is, what it claims about itself, and the few parts that variants are written with.

The documents in which right and wrong ways are written down stand here too, in one table.

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
class Document:
    """Where a right or a wrong way is written down: a page, a paper or public code.

    Attributes:
        title: the name by which readers know it, fit to stand in a sentence.
        link: its address; empty where none is known.
    """

    title: str
    link: str = ""

    def __str__(self) -> str:
        """Returns the title, so that `f"{QUESTION}, version 1"` names a place in a document."""
        return self.title


# the documents that variants and verdicts refer to
WIKI = Document('the wiki page "Versions Compared"')
QUESTION = Document(
    '"How to use Batch Normalization correctly in tensorflow?"',
    "https://stackoverflow.com/questions/40879967/how-to-use-batch-normalization-correctly-in-tensorflow",
)
BLOG = Document("the blog on ConvolutionalBatchNormalizer")
PRINTED = Document("the page with the printed iterations (twin batch_norm calls)", "https://habr.com/ru/post/1667048/")
TFLEARN = Document('"Does batch normalization in tensorflow use running averages during training?"')
UDACITY = Document(
    "Udacity's batch-norm lesson",
    "https://github.com/udacity/deep-learning/blob/master/batch-norm/Batch_Normalization_Lesson.ipynb",
)
R2RT = Document(
    'R2RT, "Implementing Batch Normalization in TensorFlow"',
    "https://r2rt.com/implementing-batch-normalization-in-tensorflow.html",
)
# papers
PAPER = Document("Ioffe and Szegedy, Batch Normalization", "https://arxiv.org/abs/1502.03167")
RENORM = Document("Ioffe, Batch Renormalization", "https://arxiv.org/abs/1702.03275")
GROUP_NORM = Document("Wu and He, Group Normalization", "https://arxiv.org/abs/1803.08494")
LAYER_NORM = Document("Ba, Kiros and Hinton, Layer Normalization", "https://arxiv.org/abs/1607.06450")
# public code and its documentation
KERAS = Document("Keras's BatchNormalization", "https://keras.io/api/layers/normalization_layers/batch_normalization/")
DETECTRON2 = Document(
    "detectron2's FrozenBatchNorm2d",
    "https://github.com/facebookresearch/detectron2/blob/main/detectron2/layers/batch_norm.py",
)
EIGENFOO = Document("eigenfoo/batch-renorm", "https://github.com/eigenfoo/batch-renorm")
EQUINOX = Document(
    "Equinox's BatchNorm", "https://github.com/patrick-kidger/equinox/blob/main/equinox/nn/_batch_norm.py"
)
D2L = Document("d2l pull request 1591", "https://github.com/d2l-ai/d2l-en/pull/1591")
CHAINER = Document("Chainer issue 1522", "https://github.com/chainer/chainer/issues/1522")
PYTORCH = Document("PyTorch issue 64730", "https://github.com/pytorch/pytorch/issues/64730")


@dataclass(frozen=True)
class Traits:
    """What a variant claims; the conformance suite checks every claim against `bnexp.statistics.reference`.

    The defaults are those of a right variant, so that a wrong one's traits say how it is wrong.

    Attributes:
        document: where the variant is written down, by the title of a `Document` and the place in it.
        flag: how the layer learns whether it trains: `"tensor"`, from a bool tensor fed with every call, or `"python"`,
            from a Python bool, so that a graph holds two towers of the layer, one for each mode.
        attachment: what makes the update ops run: `"in_place"` (the layer's output waits for them), `"update_ops"` (the
            train op runs the collection tf.GraphKeys.UPDATE_OPS), `"own_collection"` (the train op runs another
            collection), `"train_ops"` (the train op runs ops that the layer keeps for it), `"assigner"` (the train op
            runs one op after the step), `"nothing"` (nothing does) or `"none"` (there are no updates).
        moving: the recurrence of the statistics that inference reads, as `bnexp.statistics.reference` spells it out:
            `"ema"` is `moving = decay * moving + (1 - decay) * batch`.
        variance_ddof: for each rank of the layer's inputs, 0 where the moving variance averages biased batch variances
            and 1 where it averages Bessel-corrected ones. The batch itself is always normalised with the biased one.
        initial_mean: the moving mean of every channel before the first update.
        initial_variance: the moving variance of every channel before the first update.
        training_uses: what a training call normalises with: the `"batch"`, the `"moving"` statistics, `"ghost"`
            batches, `"renorm"`, a part of each `"example"` alone, or `"nothing"`.
        inference_uses: what an inference call normalises with: `"moving"`, the `"batch"` it is given, an `"example"`
            alone, or `"nothing"`.
        inference_updates: whether an inference call moves the statistics, by the same recurrence.
        monitoring_updates: whether watching held-out data during training, as the variant's script does it, moves them.
        ordered: whether the graph fixes the order of every read of a statistic and the write that could change it.
        verdict: the diagnosis's word for the variant after enough steps; after too few, a right one is `"lagging"`.
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
    """One batch-norm layer of a TF1-style graph; one that keeps statistics is an `AveragingBatchNorm`.

    Every variant is made with `name`, the variable scope of this one layer; `decay`, the weight in [0, 1) that the old
    average keeps at an update; and `epsilon`, which is added to a variance before its square root is taken.

    Attributes:
        traits: what the variant claims about itself, the same for all of its layers.
    """

    traits: Traits

    def __call__(self, inputs: tf.Tensor, training: Any) -> tf.Tensor:
        """Returns `inputs` [batch, ..., channels] float32, normalised.

        Args:
            inputs: [batch, ..., channels] float32, what the layer before it puts out.
            training: True in training and False at inference, a Python bool or a [] bool tensor as `traits.flag` says.
        """
        ...

    def train_op(self, optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Returns the op that one training step runs, written the way the variant's users write it.

        A static method, unless it needs the layer.

        Args:
            optimizer: a TF1 optimizer; its `minimize` makes the op that changes the weights.
            loss: [] float32, the mean loss of a batch.
            layers: all batch norms of the network, in the order in which they were called.
        """
        ...


class AveragingBatchNorm(BatchNorm, Protocol):
    """A layer that keeps moving statistics.

    A layer may have `batch_mean` and `batch_variance` too: the [channels] tensors that its updates average.

    Attributes:
        moving_mean: the [channels] float32 variable that inference takes for the mean.
        moving_variance: the [channels] float32 variable that inference takes for the variance.
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
    """Returns `product` unchanged, and keeps a compiler from merging its multiplication with the ops that follow.

    To XLA a batch mean is sum * (1 / n). It may merge this multiplication with a subtraction that follows, into one
    fused multiply-add, or with another factor; whether it does depends on what else it compiles at the same time. The
    average would then move towards a number that differs in its last digits from the batch mean that is recorded, and
    from program to program.
    """
    return tf.where(tf.math.is_nan(product), np.nan, product)
