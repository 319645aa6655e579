"""Questions about a graph that need no run: what are the ancestors of a tensor, and does one of them write?"""

from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

_WRITES = ("Assign", "ResourceApply", "ResourceScatter")


def ancestors(tensors: Iterable[tf.Tensor]) -> set[tf.Operation]:
    """Returns every op that runs when `tensors` are fetched, along data and control edges."""
    found: set[tf.Operation] = set()
    waiting = [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    return found


def ancestor_types(tensors: Iterable[tf.Tensor]) -> set[str]:
    """Returns the types of every op that may run when `tensors` are fetched, those in branches and loops included."""
    ops = ancestors(tensors)
    bodies: dict[str, Any] = {}
    for graph in {op.graph for op in ops}:
        bodies |= {function.signature.name: function for function in graph.as_graph_def().library.function}
    types = {op.type for op in ops}
    waiting, seen = [name for op in ops for name in _functions_of(op.node_def)], set()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in bodies:
            seen.add(name)
            types |= {node.op for node in bodies[name].node_def}
            waiting += [inner for node in bodies[name].node_def for inner in _functions_of(node)]
    return types


def is_write(op_type: str) -> bool:
    """Tells whether ops of a type change a variable."""
    return op_type.startswith(_WRITES)


def _functions_of(node: "tf.compat.v1.NodeDef") -> Iterator[str]:
    for attribute in node.attr.values():
        yield from (
            [attribute.func.name] if attribute.func.name else [function.name for function in attribute.list.func]
        )
