"""Answers questions about a graph without running it: which ops are ancestors of a tensor, and which of them write."""

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
    """Returns every op that runs when `tensors` are fetched or `ops` are run, these included.

    Args:
        tensors: the tensors that are fetched.
        ops: the ops that are run.
        fed: tensors that are fed, whose ancestors therefore need not run.
        stop: a type of op whose inputs are not followed, such as `"Shape"`; empty follows all.
        control: whether control dependencies are followed. Without them the result is what the values depend on, which
            may be less than what runs.

    Example:
        >>> with tf.Graph().as_default():
        ...     a, b = tf.constant(1.0, name="a"), tf.constant(2.0, name="b")
        >>> [op.name for op in ancestors([a])]
        ['a']
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
    """Tells whether two tensors of a graph are computed by the same stateless ops from the same tensors.

    Args:
        one: a tensor of a tf.Graph.
        other: another tensor; one of another graph is never the same.

    Example:
        >>> with tf.Graph().as_default():
        ...     x = tf.constant([1.0, 2.0])
        ...     same_expression(tf.reduce_mean(x), tf.reduce_mean(x)), same_expression(x, 2 * x)
        (True, False)
    """
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
    """Returns the variables that a graph uses, by the op that gives the variable's handle in this graph.

    Args:
        graph: a tf.Graph, or the graph of a wrapped function.
        variables: the variables to look for.

    Example:
        >>> with tf.Graph().as_default() as graph:
        ...     gamma = tf.Variable([1.0], name="gamma")
        ...     [variable.name for variable in handles(graph, [gamma]).values()]
        ['gamma:0']
    """
    # a wrapped function captures the handle, which is outside its graph, as a placeholder
    inside = {id(outer): inner for outer, inner in getattr(graph, "captures", ())}
    found = {}
    for variable in variables:
        handle = inside.get(id(variable.handle), variable.handle)
        if getattr(handle, "graph", None) is graph:
            found[handle.op] = variable
    return found


def ancestor_types(tensors: Iterable[tf.Tensor]) -> set[str]:
    """Returns the types of all ops that may run when `tensors` are fetched, those in branches and loops included.

    Args:
        tensors: the tensors that are fetched.

    Example:
        >>> with tf.Graph().as_default():
        ...     sorted(ancestor_types([tf.add(tf.constant(1.0), tf.constant(2.0))]))
        ['AddV2', 'Const']
    """
    ops = ancestors(tensors)
    return {op.type for op in ops} | _body_types(ops)


def bodies_write(op: tf.Operation) -> bool:
    """Tells whether a function that `op` calls, such as a branch of a tf.cond or a loop's body, writes a variable.

    Args:
        op: any op of a graph; one that calls no function writes in none.
    """
    return any_writes(_body_types([op]))


def is_write(op_type: str) -> bool:
    """Tells whether ops of a type write a variable.

    Args:
        op_type: the type, such as `"AssignSubVariableOp"`.

    Example:
        >>> is_write("AssignSubVariableOp"), is_write("ReadVariableOp")
        (True, False)
    """
    return op_type.startswith(_WRITES)


def writes(op: tf.Operation) -> bool:
    """Tells whether an op writes a variable, itself or in a function that it calls.

    Args:
        op: any op of a graph.
    """
    return is_write(op.type) or bodies_write(op)


def any_writes(op_types: Iterable[str]) -> bool:
    """Tells whether ops of any of these types write a variable, as `is_write` for one.

    Args:
        op_types: the types, such as those that `ancestor_types` returns.

    Example:
        >>> any_writes(["ReadVariableOp", "AssignVariableOp"])
        True
    """
    return any(map(is_write, op_types))


def _body_types(ops: Iterable[tf.Operation]) -> set[str]:
    """Returns the types of the ops in the functions that `ops` call, and in those that these call."""
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


# by graph: its version, and its functions by name. They are kept, since asking for them serialises the graph
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
