"""Separates the updates of the moving statistics from a training step, so that they can run on recorded moments.

The training of a right variant never reads its moving statistics, so that one training serves every decay: the batch
moments are recorded once, and the variant's own update ops, fed with them, average them again with another decay. That
requires updates that depend on the batch only through its moments. Where they do not, or where the graph does not show
it, the updates are not separable.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from bnexp.graph.ancestry import ancestors, handles, same_expression, writes
from bnexp.graph.outputs import Of, OutputName
from bnexp.variant import BatchNorm


@dataclass(frozen=True)
class Averaging:
    """The updates of the moving statistics in a training step.

    Attributes:
        moments: the tensors [channels] float32 that the updates average: `batch_mean` and `batch_variance` of each
            layer.
        shapes: the tensors that hold the shape of some layer's batch, which Bessel's correction reads, each with that
            shape; None stands for the batch size.
        updates: the ops that write the statistics.
        waits: whether the updates wait for the step, as an assigner that is run after it does. What they write does not
            depend on the step, but the step has to run, on any inputs, and changes the weights.
        variables: all variables but the weights and the optimizer's: the statistics, and what their updates need.
    """

    moments: Mapping[Of, tf.Tensor]
    shapes: tuple[tuple[tf.Tensor, tuple[int | None, ...]], ...]
    updates: tuple[tf.Operation, ...]
    waits: bool
    variables: tuple[tf.Variable, ...]


def find_averaging(
    train_op: tf.Operation,
    layers: Mapping[str, BatchNorm],
    recorded: Mapping[OutputName, tf.Tensor],
    *,
    weights: Collection[tf.Variable],
    variables: Sequence[tf.Variable],
    constants: Collection[tf.Tensor],
) -> Averaging | None:
    """Finds the updates of the moving statistics in a training step.

    Args:
        train_op: the op that a training step runs.
        layers: the layers by name.
        recorded: the tensors that every step records, by name, with each layer's `batch_mean` and `batch_variance`.
        weights: the variables that the optimizer changes, and its slots.
        variables: all variables of the graph.
        constants: placeholders that have the same value in every training step, such as the training flag.

    Returns:
        The updates; None if they are not separable from the step. That is so if a layer's traits say that it trains
        with its moving statistics or leaves reads and writes unordered, if a layer has no attributes `batch_mean` and
        `batch_variance` or these are not the recorded moments, or if an update reads anything else.
    """
    if not all(_claims_separable(layer) for layer in layers.values()):
        return None
    moments = {
        Of(name, moment): getattr(layer, moment, None)
        for name, layer in layers.items()
        if layer.traits.moving != "none"
        for moment in ("batch_mean", "batch_variance")
    }
    if not all(tensor is not None and same_expression(tensor, recorded[name]) for name, tensor in moments.items()):
        return None

    kept = {id(variable) for variable in weights}
    handle_of = handles(train_op.graph, variables)
    running = ancestors([], ops=[train_op])
    averages = {op for op, variable in handle_of.items() if id(variable) not in kept}
    updates = [op for op in running if writes(op) and averages & {tensor.op for tensor in op.inputs}]
    run = ancestors([], ops=updates, fed=moments.values(), stop="Shape")
    read = ancestors([], ops=updates, fed=moments.values(), stop="Shape", control=False)
    allowed = {*updates, *averages, *(tensor.op for tensor in constants)}

    def tells(op: tf.Operation) -> bool:
        return op not in allowed and _could_tell(op, handle_of, averages)

    if any(map(tells, read)):
        return None
    shapes = tuple((op.outputs[0], tuple(op.inputs[0].shape)) for op in read if op.type == "Shape")
    waits = any(map(tells, run))
    if waits and shapes:
        return None  # the step that has to run too is fed another batch, and may read the same shape
    return Averaging(
        moments=moments,
        shapes=shapes,
        # in a fixed order: that of a set differs from process to process
        updates=tuple(sorted(updates, key=lambda op: op.name)),
        waits=waits,
        variables=tuple(variable for variable in variables if id(variable) not in kept),
    )


def _claims_separable(layer: BatchNorm) -> bool:
    # unordered ops may run in another order when they run without the rest of the step
    return layer.traits.training_uses not in ("moving", "renorm") and layer.traits.ordered


def _could_tell(op: tf.Operation, handle_of: Mapping[tf.Operation, tf.Variable], averages: set[tf.Operation]) -> bool:
    """Tells whether an op's value may depend on more of a step than its moments: inputs, weights, state or chance."""
    if op.type == "ReadVariableOp":
        return op.inputs[0].op not in averages
    return op in handle_of or op.type == "Placeholder" or op.op_def.is_stateful
