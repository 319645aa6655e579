"""Questions about a graph that need no run: what are the ancestors of a tensor, and does one of them write?"""

from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

_WRITES = ("Assign", "ResourceApply", "ResourceScatter")


def ancestors(tensors: Iterable[tf.Tensor], ops: Iterable[tf.Operation] = ()) -> set[tf.Operation]:
    """Returns every op that runs when `tensors` are fetched or `ops` run, along data and control edges."""
    found: set[tf.Operation] = set()
    waiting = [*(tensor.op for tensor in tensors), *ops]
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    return found


def ancestor_types(tensors: Iterable[tf.Tensor]) -> set[str]:
    """Returns the types of every op that may run when `tensors` are fetched, those in branches and loops included."""
    ops = ancestors(tensors)
    return {op.type for op in ops} | _body_types(ops)


def bodies_write(op: tf.Operation) -> bool:
    """Tells whether a branch, a loop or a function that `op` calls changes a variable."""
    return any(is_write(op_type) for op_type in _body_types([op]))


def is_write(op_type: str) -> bool:
    """Tells whether ops of a type change a variable."""
    return op_type.startswith(_WRITES)


def _body_types(ops: Iterable[tf.Operation]) -> set[str]:
    """Returns the types of the ops inside the functions that `ops` call, however deep."""
    waiting = [(op.graph, name) for op in ops for name in _functions_of(op.node_def)]
    libraries: dict[int, dict[str, Any]] = {}
    types: set[str] = set()
    seen: set[str] = set()
    while waiting:
        graph, name = waiting.pop()
        if id(graph) not in libraries:
            library = graph.as_graph_def().library.function
            libraries[id(graph)] = {function.signature.name: function for function in library}
        body = libraries[id(graph)].get(name)
        if name not in seen and body is not None:
            seen.add(name)
            types |= {node.op for node in body.node_def}
            waiting += [(graph, inner) for node in body.node_def for inner in _functions_of(node)]
    return types


def _functions_of(node: "tf.compat.v1.NodeDef") -> Iterator[str]:
    for attribute in node.attr.values():
        yield from (
            [attribute.func.name] if attribute.func.name else [function.name for function in attribute.list.func]
        )
