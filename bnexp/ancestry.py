"""Questions about a graph that need no run: what are the ancestors of a tensor, and does one of them write?"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

_WRITES = ("Assign", "ResourceApply", "ResourceSparseApply", "ResourceScatter", "ResourceStridedSliceAssign")


def ancestors(
    tensors: Iterable[tf.Tensor],
    ops: Iterable[tf.Operation] = (),
    *,
    fed: Iterable[tf.Tensor] = (),
    stop: str = "",
    control: bool = True,
) -> set[tf.Operation]:
    """Returns every op that runs when `tensors` are fetched or `ops` run, along data and control edges.

    Args:
        tensors: what is fetched.
        ops: what is run.
        fed: tensors whose values are given, so that nothing has to run for them.
        stop: a type of op that is found, but whose own inputs are not followed.
        control: whether control edges are followed; without them an op's value is found out about, not what runs.
    """
    given = {tensor.ref() for tensor in fed}
    found: set[tf.Operation] = set()
    waiting = [*(tensor.op for tensor in tensors), *ops]
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            if op.type != stop:
                waiting += [tensor.op for tensor in op.inputs if tensor.ref() not in given]
                waiting += op.control_inputs if control else ()
    return found


def same_expression(one: tf.Tensor, other: tf.Tensor) -> bool:
    """Tells whether two tensors of a graph are the same function of the same tensors."""
    if one is other:
        return True
    left, right = one.op, other.op
    return (
        one.graph is other.graph
        and one.value_index == other.value_index
        and (left is right or not left.op_def.is_stateful)
        and left.type == right.type
        and len(left.inputs) == len(right.inputs)
        and {k: v for k, v in left.node_def.attr.items() if k != "_class"}
        == {k: v for k, v in right.node_def.attr.items() if k != "_class"}
        and all(same_expression(a, b) for a, b in zip(left.inputs, right.inputs, strict=True))
    )


def handles(graph: tf.Graph, variables: Iterable[tf.Variable]) -> dict[tf.Operation, tf.Variable]:
    """Returns the variables that a graph reads or writes, each by the op in it that stands for the variable."""
    # in a wrapped function a variable's handle is outside, and what its ops take is a placeholder
    inside = {id(outer): inner for outer, inner in getattr(graph, "captures", ())}
    found = {}
    for variable in variables:
        handle = inside.get(id(variable.handle), variable.handle)
        if getattr(handle, "graph", None) is graph:
            found[handle.op] = variable
    return found


def ancestor_types(tensors: Iterable[tf.Tensor]) -> set[str]:
    """Returns the types of every op that may run when `tensors` are fetched, those in branches and loops included."""
    ops = ancestors(tensors)
    return {op.type for op in ops} | _body_types(ops)


def bodies_write(op: tf.Operation) -> bool:
    """Tells whether a branch, a loop or a function that `op` calls changes a variable."""
    return any_writes(_body_types([op]))


def is_write(op_type: str) -> bool:
    """Tells whether ops of a type change a variable."""
    return op_type.startswith(_WRITES)


def any_writes(op_types: Iterable[str]) -> bool:
    """Tells whether ops of any of these types change a variable."""
    return any(map(is_write, op_types))


def _body_types(ops: Iterable[tf.Operation]) -> set[str]:
    """Returns the types of the ops inside the functions that `ops` call, however deep."""
    waiting = [(op.graph, name) for op in ops for name in _functions_of(op.node_def)]
    types: set[str] = set()
    seen: set[str] = set()
    while waiting:
        graph, name = waiting.pop()
        body = _library(graph).get(name)
        if name not in seen and body is not None:
            seen.add(name)
            types |= {node.op for node in body.node_def}
            waiting += [(graph, inner) for node in body.node_def for inner in _functions_of(node)]
    return types


# of each graph its version and its functions by name: to ask a graph for them writes all of it out
_libraries: WeakKeyDictionary[tf.Graph, tuple[int, Mapping[str, Any]]] = WeakKeyDictionary()


def _library(graph: tf.Graph) -> Mapping[str, Any]:
    version, functions = _libraries.get(graph, (-1, {}))
    if version != graph.version:
        functions = {function.signature.name: function for function in graph.as_graph_def().library.function}
        _libraries[graph] = graph.version, functions
    return functions


def _functions_of(node: "tf.compat.v1.NodeDef") -> Iterator[str]:
    for attribute in node.attr.values():
        yield from (
            [attribute.func.name] if attribute.func.name else [function.name for function in attribute.list.func]
        )
