"""Builds the TF1-style graph of a network with a variant, and names the parts of it that can be run alone.

In such a graph only ancestors of what is fetched ever run. That is what the documents' mistakes are made of, and what a
`Pruning` keeps: it names the tensors to feed and the tensors to fetch, and an engine runs exactly their ancestors.

Every statistic is read *inside* the graph under a control dependency on what the pruning is for (ENGINE: a pruned
function has no control outputs), so a pruning's outputs show the state after the call.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import tensorflow as tf

from bnexp.ancestry import ancestors
from bnexp.averaging import Averaging, find_averaging
from bnexp.network import Network
from bnexp.variant import AveragingBatchNorm, BatchNorm, batch_moments

v1 = tf.compat.v1

Constant = bool | tuple[int, ...]


@dataclass(frozen=True)
class Pruning:
    """A part of a graph that can be run alone.

    Attributes:
        feeds: the placeholders a call feeds, in order, each with the batch on axis 0.
        outputs: what a call returns, by name.
        constants: what gets the same value in every call: the placeholder of the training flag, if there is one.
    """

    feeds: tuple[tf.Tensor, ...]
    outputs: Mapping[str, tf.Tensor]
    constants: tuple[tuple[tf.Tensor, Constant], ...] = ()

    def only(self, names: Iterable[str]) -> "Pruning":
        """Returns the same pruning with fewer outputs, and so with fewer ancestors."""
        return replace(self, outputs={name: self.outputs[name] for name in names})


@dataclass(frozen=True)
class Graph:
    """A network with a variant, built once.

    Attributes:
        layers: the variant's layers by name, in the order in which data meets them.
        layer_ranks: the rank of each layer's input: 2 after a dense layer, 4 after a convolution.
        layer_positions: the values a channel that one example gives each layer: 1 after a dense layer, height times
            width after a convolution.
        train: one training step; outputs `loss`, `accuracy` and, a layer, `<layer>/moving_mean` and
            `<layer>/moving_variance` after the step and `<layer>/batch_mean` and `<layer>/batch_variance` (ddof 0) of
            its input, [channels] float32.
        inference: outputs `outputs` [batch, ...] of the network in inference mode and each layer's moving statistics
            after the call.
        batch_mode: the network in training mode without a training step; outputs `outputs`.
        monitor: what the variant's users run on held-out data while they train; outputs `outputs`. The inference tower,
            unless the variant says otherwise.
        batch_mode_moments: outputs, a layer, `<layer>/mean` and `<layer>/variance` (ddof 0) of its input in training
            mode, [channels] float64.
        inference_moments: the same in inference mode.
        batch_mode_sample: outputs, a layer, `<layer>/batch_mean` and `<layer>/batch_variance` as `train` records them,
            without a training step, and `<layer>/unit` [batch, ...]: the first channel of its output, which is what
            the first unit's non-linearity is given.
        average: of a training step the updates alone, fed with its `batch_mean` and `batch_variance` [channels] of each
            layer, and before them, where the updates wait for a step, with inputs and labels for one; outputs
            `<layer>/moving_mean` and `<layer>/moving_variance` after them. None where they do not stand apart. It needs
            the shapes of `averaging` as constants besides.
        averaging: what is known of them.
    """

    layers: Mapping[str, BatchNorm]
    layer_ranks: Mapping[str, int]
    layer_positions: Mapping[str, int]
    train: Pruning
    inference: Pruning
    batch_mode: Pruning
    monitor: Pruning
    batch_mode_moments: Pruning
    inference_moments: Pruning
    batch_mode_sample: Pruning
    average: Pruning | None
    averaging: Averaging | None


@dataclass(frozen=True)
class _Tower:
    outputs: tf.Tensor
    layer_inputs: Mapping[str, tf.Tensor]
    layer_outputs: Mapping[str, tf.Tensor]


MakeLayer = Callable[[str], BatchNorm]
Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def build_graph(
    network: Network,
    make_layer: MakeLayer,
    optimizer: Any,
    *,
    example_shape: tuple[int, ...],
    num_classes: int,
    seed: int,
    loss_of: Loss | None = None,
) -> Graph:
    """Builds the graph in the current tf.Graph or wrapped function.

    Args:
        network: builds one forward pass.
        make_layer: makes the batch-norm layer of a given name.
        optimizer: a tf.compat.v1.train optimizer.
        example_shape: shape of one example, without the batch.
        num_classes: number of the network's outputs.
        seed: decides the initial weights.
        loss_of: loss [] of outputs and labels; softmax cross-entropy by default.
    """
    inputs = v1.placeholder(tf.float32, [None, *example_shape], name="inputs")
    labels = v1.placeholder(tf.int32, [None], name="labels")
    layers: dict[str, BatchNorm] = {}

    def tower(training: bool) -> _Tower:
        layer_inputs: dict[str, tf.Tensor] = {}
        layer_outputs: dict[str, tf.Tensor] = {}

        def batch_norm(hidden: tf.Tensor, name: str) -> tf.Tensor:
            if name not in layers:
                layers[name] = make_layer(name)
            layer = layers[name]
            layer_inputs[name] = hidden
            layer_outputs[name] = layer(hidden, flag if layer.traits.flag == "tensor" else training)
            return layer_outputs[name]

        outputs = network(inputs, batch_norm=batch_norm, num_classes=num_classes, seed=seed)
        return _Tower(outputs, layer_inputs, layer_outputs)

    flag = v1.placeholder(tf.bool, [], name="training")
    in_training = tower(True)
    loss = (loss_of or _cross_entropy)(in_training.outputs, labels)
    first = next(iter(layers.values()))
    train_op = first.train_op(optimizer, loss, list(layers.values()))
    # after the train op: an ExponentialMovingAverage has no average to read before its apply
    flags = {layer.traits.flag for layer in layers.values()}
    in_inference = tower(False) if "python" in flags else in_training

    monitor = getattr(first, "monitor", lambda in_training, in_inference: in_inference)

    def mode(training: bool) -> tuple[tuple[tf.Tensor, bool], ...]:
        return ((flag, training),) if "tensor" in flags else ()

    with tf.control_dependencies([train_op]):  # or nothing would, where no layer has statistics to wait for
        step = {"loss": tf.identity(loss)}
    step["accuracy"] = _accuracy(in_training.outputs, labels)
    for name, hidden in in_training.layer_inputs.items():
        # the variant's own moments, written the same way: XLA and Grappler compute them once
        step[f"{name}/batch_mean"], step[f"{name}/batch_variance"] = batch_moments(hidden)
    averaging = find_averaging(
        train_op,
        layers,
        step,
        weights=[*v1.trainable_variables(), *optimizer.variables()],
        variables=v1.global_variables(),
        constants=[flag],
    )
    step["outputs"] = tf.identity(in_training.outputs)
    return Graph(
        layers=layers,
        layer_ranks={name: len(hidden.shape) for name, hidden in in_training.layer_inputs.items()},
        layer_positions={
            name: int(hidden.shape[1:-1].num_elements()) for name, hidden in in_training.layer_inputs.items()
        },
        train=Pruning((inputs, labels), step | _moving_after(train_op, layers), mode(training=True)),
        inference=Pruning(
            (inputs,),
            {"outputs": in_inference.outputs} | _moving_after(in_inference.outputs, layers),
            mode(training=False),
        ),
        batch_mode=Pruning((inputs,), {"outputs": in_training.outputs}, mode(training=True)),
        monitor=Pruning(
            (inputs,), {"outputs": monitor(in_training.outputs, in_inference.outputs)}, mode(training=False)
        ),
        batch_mode_moments=Pruning((inputs,), _input_moments(in_training), mode(training=True)),
        inference_moments=Pruning((inputs,), _input_moments(in_inference), mode(training=False)),
        batch_mode_sample=Pruning(
            (inputs,),
            {name: value for name, value in step.items() if "/batch_" in name}
            | {f"{name}/unit": tf.identity(out[..., 0]) for name, out in in_training.layer_outputs.items()},
            mode(training=True),
        ),
        average=(
            Pruning(
                (*((inputs, labels) if averaging.waits else ()), *averaging.moments.values()),
                _read_after(_results(averaging.updates), layers),
                mode(training=True),
            )
            if averaging
            else None
        ),
        averaging=averaging,
    )


def keeps_statistics(layer: BatchNorm) -> TypeGuard[AveragingBatchNorm]:
    """Tells whether a layer has moving statistics at all; the identity and group norm have none."""
    return hasattr(layer, "moving_mean")


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def _accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, -1, output_type=tf.int32), labels), tf.float32))


def _batch_axes(inputs: tf.Tensor) -> list[int]:
    return list(range(len(inputs.shape) - 1))


def _moving_after(op: Any, layers: Mapping[str, BatchNorm]) -> dict[str, tf.Tensor]:
    # a tf.cond lets its output go without waiting for what only the branch not taken would have used: whatever moves
    # a statistic on the side must be waited for by name, or a twin's leak is at times read too soon
    stateful = [ancestor for ancestor in ancestors([], ops=[_op_of(op)]) if ancestor.op_def.is_stateful]
    return _read_after([op, *stateful], layers)


def _read_after(ops: Sequence[Any], layers: Mapping[str, BatchNorm]) -> dict[str, tf.Tensor]:
    with tf.control_dependencies(ops):
        return {
            f"{name}/{statistic}": tf.reshape(getattr(layer, statistic).read_value(), [-1])
            for name, layer in layers.items()
            if keeps_statistics(layer)
            for statistic in ("moving_mean", "moving_variance")
        }


def _results(ops: Sequence[tf.Operation]) -> list[Any]:
    """Returns `ops` and a copy of what they give: a Session that only waits for a tf.cond cuts its branches short."""
    return [*ops, *(tf.identity(out) for op in ops for out in op.outputs if out.dtype != tf.resource)]


def _op_of(fetched: tf.Tensor | tf.Operation) -> tf.Operation:
    return getattr(fetched, "op", fetched)


def _input_moments(tower: _Tower) -> dict[str, tf.Tensor]:
    outputs: dict[str, tf.Tensor] = {}
    for name, hidden in tower.layer_inputs.items():
        # float64: with a mean of 1000 standard deviations float32 leaves the variance no digits
        mean, variance = tf.nn.moments(tf.cast(hidden, tf.float64), _batch_axes(hidden))
        outputs |= {f"{name}/mean": mean, f"{name}/variance": variance}
    return outputs
