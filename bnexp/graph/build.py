"""Builds the TF1-style graph of a network with a variant, and defines the subgraphs that can be run alone.

Every moving statistic is read *inside* the graph, under a control dependency on the train op or on the network's
outputs, so that a subgraph's outputs show the state after the call; a pruned function has no control outputs that could
wait instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from bnexp.graph import Graph, MakeLayer, Of, OutputName, Subgraph, keeps_statistics
from bnexp.graph.ancestry import ancestors
from bnexp.graph.updates import find_averaging
from bnexp.network import Network
from bnexp.variant import BatchNorm, batch_moments

v1 = tf.compat.v1


@dataclass(frozen=True)
class _Tower:
    outputs: tf.Tensor
    layer_inputs: Mapping[str, tf.Tensor]
    layer_outputs: Mapping[str, tf.Tensor]


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
        network: builds one forward pass; called once for training, and a second time for inference if a layer takes its
            training flag as a Python bool.
        make_layer: makes the batch-norm layer of a given name for inputs of a given shape; called once for each layer.
        optimizer: a tf.compat.v1.train optimizer, which the first layer's `train_op` uses for the step.
        example_shape: the shape of one example: [features], or [height, width, channels].
        num_classes: the number of the network's outputs.
        seed: decides the network's initial weights, together with their names.
        loss_of: called with outputs [batch, num_classes] float32 and labels [batch] int32; returns the loss [] to
            minimise. None takes the mean softmax cross-entropy.

    Returns:
        The graph. Nothing has run yet, and the variables have no values before an engine initialises them.

    Example:
        >>> with tf.Graph().as_default():
        ...     make_layer = layer_maker(variant_factory("update_ops", decay=0.9, epsilon=1e-3))
        ...     graph = build_graph(partial(mlp, widths=[100]), make_layer, optimizer, example_shape=(8, 8, 1),
        ...                         num_classes=10, seed=0)
        >>> list(graph.layers)
        ['bn1']
    """
    inputs = v1.placeholder(tf.float32, [None, *example_shape], name="inputs")
    labels = v1.placeholder(tf.int32, [None], name="labels")
    layers: dict[str, BatchNorm] = {}

    def tower(training: bool) -> _Tower:
        layer_inputs: dict[str, tf.Tensor] = {}
        layer_outputs: dict[str, tf.Tensor] = {}

        def batch_norm(hidden: tf.Tensor, name: str) -> tf.Tensor:
            if name not in layers:
                layers[name] = make_layer(name, tuple(hidden.shape))
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
    # after the train op, since an ExponentialMovingAverage has no average to read before its apply()
    flags = {layer.traits.flag for layer in layers.values()}
    in_inference = tower(False) if "python" in flags else in_training

    monitor = getattr(first, "monitor", lambda in_training, in_inference: in_inference)

    def mode(training: bool) -> tuple[tuple[tf.Tensor, bool], ...]:
        return ((flag, training),) if "tensor" in flags else ()

    with tf.control_dependencies([train_op]):  # so that the step runs even if no layer has statistics that wait for it
        step: dict[OutputName, tf.Tensor] = {"loss": tf.identity(loss)}
    step["accuracy"] = _accuracy(in_training.outputs, labels)
    for name, hidden in in_training.layer_inputs.items():
        # written like the variant's own moments, so that XLA and Grappler compute both only once
        step[Of(name, "batch_mean")], step[Of(name, "batch_variance")] = batch_moments(hidden)
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
        train=Subgraph((inputs, labels), step | _moving_after(train_op, layers), mode(training=True)),
        inference=Subgraph(
            (inputs,),
            {"outputs": in_inference.outputs, **_moving_after(in_inference.outputs, layers)},
            mode(training=False),
        ),
        batch_mode=Subgraph((inputs,), {"outputs": in_training.outputs}, mode(training=True)),
        monitor=Subgraph(
            (inputs,), {"outputs": monitor(in_training.outputs, in_inference.outputs)}, mode(training=False)
        ),
        batch_mode_moments=Subgraph((inputs,), _input_moments(in_training), mode(training=True)),
        inference_moments=Subgraph((inputs,), _input_moments(in_inference), mode(training=False)),
        batch_mode_sample=Subgraph(
            (inputs,),
            {
                **{name: value for name, value in step.items() if isinstance(name, Of)},
                **{Of(name, "unit"): tf.identity(out[..., 0]) for name, out in in_training.layer_outputs.items()},
            },
            mode(training=True),
        ),
        average=(
            Subgraph(
                (*((inputs, labels) if averaging.waits else ()), *averaging.moments.values()),
                _read_after(_results(averaging.updates), layers),
                mode(training=True),
            )
            if averaging
            else None
        ),
        averaging=averaging,
    )


def _cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def _accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, -1, output_type=tf.int32), labels), tf.float32))


def _batch_axes(inputs: tf.Tensor) -> list[int]:
    return list(range(len(inputs.shape) - 1))


def _moving_after(op: Any, layers: Mapping[str, BatchNorm]) -> dict[OutputName, tf.Tensor]:
    # an output of a tf.cond does not wait for what only the other branch uses. So every stateful ancestor, which may
    # move a statistic as a side effect, is waited for by name; otherwise a twin call's leak is sometimes read too early
    stateful = [ancestor for ancestor in ancestors([], ops=[_op_of(op)]) if ancestor.op_def.is_stateful]
    return _read_after([op, *stateful], layers)


def _read_after(ops: Sequence[Any], layers: Mapping[str, BatchNorm]) -> dict[OutputName, tf.Tensor]:
    with tf.control_dependencies(ops):
        return {
            Of(name, statistic): tf.reshape(getattr(layer, statistic).read_value(), [-1])
            for name, layer in layers.items()
            if keeps_statistics(layer)
            for statistic in ("moving_mean", "moving_variance")
        }


def _results(ops: Sequence[tf.Operation]) -> list[Any]:
    """Returns `ops` and copies of their outputs: a Session prunes the branches of a tf.cond that it only waits for."""
    return [*ops, *(tf.identity(out) for op in ops for out in op.outputs if out.dtype != tf.resource)]


def _op_of(fetched: tf.Tensor | tf.Operation) -> tf.Operation:
    return getattr(fetched, "op", fetched)


def _input_moments(tower: _Tower) -> dict[OutputName, tf.Tensor]:
    outputs: dict[OutputName, tf.Tensor] = {}
    for name, hidden in tower.layer_inputs.items():
        # in float64, since in float32 a mean of 1000 standard deviations leaves the variance no digits
        mean, variance = tf.nn.moments(tf.cast(hidden, tf.float64), _batch_axes(hidden))
        outputs |= {Of(name, "mean"): mean, Of(name, "variance"): variance}
    return outputs
