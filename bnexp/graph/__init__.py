"""What a graph is: a network with a variant, built once, and its subgraphs, each of which can be run alone.

In a TF1-style graph only the ancestors of what is fetched run, and most of the documented mistakes come from that. A
`Subgraph` keeps this rule: it names the tensors to feed and the tensors to fetch, and an engine runs exactly the
ancestors of the fetched ones.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

import tensorflow as tf

from bnexp.graph.outputs import Of as Of
from bnexp.graph.outputs import OutputName as OutputName
from bnexp.graph.updates import Averaging
from bnexp.variant import AveragingBatchNorm, BatchNorm

# the value of a placeholder that is the same in every call: a training flag, or the shape of a batch
Constant = bool | tuple[int, ...]

# the shape of a layer's inputs, [batch, ..., channels]; None for the length of the batch
Shape = tuple[int | None, ...]

# called with a layer's name and the shape of its inputs; returns the batch-norm layer
MakeLayer = Callable[[str, Shape], BatchNorm]


@dataclass(frozen=True)
class Subgraph:
    """A part of a graph that can be run alone.

    Attributes:
        feeds: the placeholders that each call feeds, in the order of the arrays; axis 0 is the batch, if there is one.
        outputs: the tensors that a call returns, by name; what is not their ancestor does not run.
        constants: placeholders that get the same value in every call, with that value: the training flag, if there is
            one.
    """

    feeds: tuple[tf.Tensor, ...]
    outputs: Mapping[OutputName, tf.Tensor]
    constants: tuple[tuple[tf.Tensor, Constant], ...] = ()

    def only(self, names: Iterable[OutputName]) -> "Subgraph":
        """Returns the subgraph with only some of its outputs, so that only their ancestors run.

        Args:
            names: the names of the outputs to keep.
        """
        return replace(self, outputs={name: self.outputs[name] for name in names})


@dataclass(frozen=True)
class Graph:
    """A network with a variant, built once.

    Attributes:
        layers: the variant's layers by name, in the order in which data passes through them.
        layer_ranks: the rank of each layer's input: 2 after a dense layer, 4 after a convolution.
        layer_positions: the number of values that one example has in one channel of each layer's input: 1 after a dense
            layer, height times width after a convolution.
        train: one training step. Outputs: `loss`, `accuracy`, `outputs`, and for each layer `moving_mean` and
            `moving_variance` after the step and `batch_mean` and `batch_variance` (ddof 0) of its input, [channels]
            float32.
        inference: the network in inference mode. Outputs: `outputs` [batch, ...], and each layer's `moving_mean` and
            `moving_variance` after the call.
        batch_mode: the network in training mode without a training step. Outputs: `outputs`.
        monitor: what the variant's users run on held-out data during training: the inference tower, unless the variant
            has a `monitor` of its own. Outputs: `outputs`.
        batch_mode_moments: the moments of the layers' inputs in training mode. Outputs: for each layer `mean` and
            `variance` (ddof 0), [channels] float64.
        inference_moments: the same in inference mode.
        batch_mode_sample: what a snapshot measures in training mode, without a training step. Outputs: for each layer
            `batch_mean` and `batch_variance` as in `train`, and `unit` [batch, ...], the first channel of its output.
        average: only the updates of a training step, for moments that were recorded. It is fed each layer's
            `batch_mean` and `batch_variance` [channels]; before them come inputs and labels if the updates wait for a
            step. `averaging.shapes` must be added to its constants. Outputs: each layer's moving statistics after the
            updates. None if the updates are not separable from the step.
        averaging: the tensors, ops and variables of these updates; None with `average`.
    """

    layers: Mapping[str, BatchNorm]
    layer_ranks: Mapping[str, int]
    layer_positions: Mapping[str, int]
    train: Subgraph
    inference: Subgraph
    batch_mode: Subgraph
    monitor: Subgraph
    batch_mode_moments: Subgraph
    inference_moments: Subgraph
    batch_mode_sample: Subgraph
    average: Subgraph | None
    averaging: Averaging | None


def keeps_statistics(layer: BatchNorm) -> TypeGuard[AveragingBatchNorm]:
    """Tells whether a layer has moving statistics; the identity and group norm, for example, have none.

    Args:
        layer: one of `Graph.layers`.

    Example:
        >>> keeps_statistics(model.graph.layers["bn1"])
        True
    """
    return hasattr(layer, "moving_mean")
