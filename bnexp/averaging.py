"""The part of a training step that moves the statistics, cut out of its graph so that it can run on recorded moments.

A right variant's training never reads its moving statistics, so that one training serves every decay: what the variant
would have averaged is known, and its own update ops, fed with it, average it again. That takes updates that depend on
the batch through its moments alone; where they do not, or where it cannot be told, there is nothing to cut out.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from bnexp.ancestry import ancestors, bodies_write, handles, is_write, same_expression
from bnexp.variant import BatchNorm


@dataclass(frozen=True)
class Averaging:
    """The updates of a training step.

    Attributes:
        moments: the tensors [channels] float32 that they average, by `<layer>/batch_mean` and `<layer>/batch_variance`.
        shapes: the tensors that hold the shape of a batch somewhere in the network, as Bessel's correction asks for it,
            each with that shape; None stands for the batch size.
        updates: the ops that write.
        waits: whether they wait for the step itself, as an assigner does that comes after it. What they write does not
            depend on that step, but it has to run, on whatever inputs, and moves the weights.
        variables: what they read and write, and every other variable that is neither a weight nor an optimizer's.
    """

    moments: Mapping[str, tf.Tensor]
    shapes: tuple[tuple[tf.Tensor, tuple[int | None, ...]], ...]
    updates: tuple[tf.Operation, ...]
    waits: bool
    variables: tuple[tf.Variable, ...]


def find_averaging(
    train_op: tf.Operation,
    layers: Mapping[str, BatchNorm],
    recorded: Mapping[str, tf.Tensor],
    *,
    weights: Collection[tf.Variable],
    variables: Sequence[tf.Variable],
    constants: Collection[tf.Tensor],
) -> Averaging | None:
    """Finds the updates of a training step.

    Args:
        train_op: what a step runs.
        layers: by name.
        recorded: the moments that every step records, by `<layer>/batch_mean` and `<layer>/batch_variance`.
        weights: the variables that gradients move, and the optimizer's own.
        variables: all of the graph.
        constants: placeholders that have one value in every training step.

    Returns:
        None where the updates do not stand apart: a layer says that it trains with its moving statistics or that their
        order is left open, it does not show the moments that it averages, these are others than those recorded, or an
        update reads something else.
    """
    if not all(_claims_to_stand_apart(layer) for layer in layers.values()):
        return None
    moments = {
        f"{name}/{moment}": getattr(layer, moment, None)
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
    updates = [op for op in running if _writes(op) and averages & {tensor.op for tensor in op.inputs}]
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
        return None  # the step that runs beside has another batch, and may look at the same shape
    return Averaging(
        moments=moments,
        shapes=shapes,
        # in the order in which they were made: a set's own would differ from process to process
        updates=tuple(sorted(updates, key=lambda op: op.name)),
        waits=waits,
        variables=tuple(variable for variable in variables if id(variable) not in kept),
    )


def _claims_to_stand_apart(layer: BatchNorm) -> bool:
    # what nothing orders may come out in another order when it runs apart
    return layer.traits.training_uses not in ("moving", "renorm") and layer.traits.ordered


def _writes(op: tf.Operation) -> bool:
    return is_write(op.type) or bodies_write(op)


def _could_tell(op: tf.Operation, handle_of: Mapping[tf.Operation, tf.Variable], averages: set[tf.Operation]) -> bool:
    """Tells whether an op may know more of a step than its moments: its inputs, its weights, a state, chance."""
    if op.type == "ReadVariableOp":
        return op.inputs[0].op not in averages
    return op in handle_of or op.type == "Placeholder" or op.op_def.is_stateful
