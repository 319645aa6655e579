"""Who runs the updates of custom layers: where layers leave them, and the train op."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from bnexp.errors import UserError
from bnexp.graph.ancestry import ancestors, writes
from bnexp.graph.custom.roles import Parameter, parameters_of

v1 = tf.compat.v1

# the collections that train ops usually wait for: TensorFlow's, and that of the first slim
COLLECTIONS = (v1.GraphKeys.UPDATE_OPS, "_update_ops_")

# attributes and methods in which layers keep their updates; the first that has some counts
_KEPT = (
    "update_ops",
    "updates",
    "update_op",
    "update",
    "extra_update_ops",
    "bn_updates",
    "update_moving_averages",
    "train_ops",
    "moving_updates",
    "moving_average_op",
    "moving_average_ops",
    "ema_apply_op",
    "apply_op",
    "ema_op",
    "maintain_averages_op",
    "assigner",
    "get_assigner",
    "get_update_ops",
    "get_updates",
    "get_update_op",
    "get_ema_op",
    "get_assigners",
)


@dataclass(frozen=True)
class Left:
    """Updates that a layer made and left to whoever trains the network.

    Attributes:
        where: where it left them: `"the collection UPDATE_OPS"`, `"its attribute updates"`.
        ops: the ops, in the order in which they were made.
    """

    where: str
    ops: tuple[tf.Operation, ...]


def left_in_collections(graph: tf.Graph, names: Iterable[str]) -> list[Left]:
    """Returns the updates in the collections of a graph, without those that a branch of a tf.cond has put there.

    Args:
        graph: the graph in which the layers were called.
        names: the names of the collections.
    """
    found = []
    for name in names:
        ops = _ops_of(v1.get_collection(name), graph)
        if ops:
            shown = "UPDATE_OPS" if name == v1.GraphKeys.UPDATE_OPS else name
            found.append(Left(f"the collection {shown}", ops))
    return found


def left_by(thing: Any, returned: Sequence[Any], graph: tf.Graph, *, ask: bool = True) -> list[Left]:
    """Returns the updates that a layer returned besides its outputs, or keeps under a usual name.

    Only the first place that has some counts: the others would have the same once more.

    Args:
        thing: the user's object or function.
        returned: what its call returned besides the outputs.
        graph: the graph in which it was called.
        ask: whether methods such as `get_assigner()` are called, which may make ops anew; in the current control
            dependencies.
    """
    if ops := _ops_of(returned, graph):
        return [Left("what its call returns", ops)]
    kept = {name: getattr(thing, name, None) for name in _KEPT}
    methods = {
        n: v for n, v in kept.items() if callable(v) and not isinstance(v, tf.Tensor | tf.Operation | tf.Variable)
    }
    for name, value in kept.items():
        if name not in methods and (ops := _ops_of(value, graph)):
            return [Left(f"its attribute {name}", ops)]
    for name, method in methods.items() if ask else ():
        if any(p.default is Parameter.empty for p in parameters_of(method).values()):
            continue
        if ops := _ops_of(method(), graph):
            return [Left(f"its {name}()", ops)]
    return []


def minimize(optimizer: Any, loss: tf.Tensor, waited: Iterable[tf.Operation]) -> tf.Operation:
    """Returns the op that makes a training step after some updates.

    Args:
        optimizer: a TF1 optimizer.
        loss: [] float32, the mean loss of a batch.
        waited: the updates that the step waits for.
    """
    with tf.control_dependencies(list(waited)):
        return optimizer.minimize(loss)


def counted(ops: Sequence[tf.Operation]) -> tf.Operation:
    """Returns the op that runs all of these and then counts the step, if the graph has a global step.

    Args:
        ops: the ops of a training step.
    """
    step = v1.train.get_global_step()
    if step is None:
        return tf.group(*ops)
    # behind them, since a layer may read the number of updates in its own
    with tf.control_dependencies(ops):
        return step.assign_add(1).op


def own_train_op(make: Callable[..., Any], optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
    """Returns the train op that a layer brings itself.

    Args:
        make: its `train_op`; called with as many of optimizer, loss and layers as it takes.
        optimizer: a TF1 optimizer.
        loss: [] float32, the mean loss of a batch.
        layers: the users' objects of all layers.

    Raises:
        UserError: it returns no op.
    """
    parameters = parameters_of(make)
    given = {"optimizer": optimizer, "opt": optimizer, "loss": loss, "cost": loss, "layers": layers}
    if all(name in given for name in parameters):
        made = make(**{name: given[name] for name in parameters})
    else:
        made = make(*[optimizer, loss, layers][: max(len(parameters), 1)])
    if isinstance(made, list | tuple):
        made = tf.group(*made)
    if not isinstance(made, tf.Operation | tf.Tensor):
        raise UserError(
            f"train_op of your own layer returned {type(made).__name__}. Let it return the op that one training step "
            "runs, as optimizer.minimize(loss) does."
        )
    return getattr(made, "op", made)


def _ops_of(kept: Any, graph: tf.Graph) -> tuple[tf.Operation, ...]:
    """Returns the ops of a graph in what a layer keeps, those that write a variable or wait for one that does."""
    if isinstance(kept, dict):
        kept = list(kept.values())
    things = kept if isinstance(kept, list | tuple | set) else [kept]
    flat = [one for thing in things for one in (thing if isinstance(thing, list | tuple) else [thing])]
    ops = [thing if isinstance(thing, tf.Operation) else getattr(thing, "op", None) for thing in flat]
    found = [op for op in ops if isinstance(op, tf.Operation) and op.graph is graph]
    return tuple(dict.fromkeys(op for op in found if any(map(writes, ancestors([], ops=[op])))))
