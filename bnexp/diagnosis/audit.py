"""A static audit of a TF1-style graph: what its edges alone show, each finding with the name of its op.

An op runs only if a fetch needs it, and two ops are ordered only if one is an ancestor of the other. Whether updates
run, whether inference runs them too, and whether an average reads its input before or after it is written, are
therefore properties of the graph. A run need not show them: a race that always ends the same way is still a race.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import tensorflow as tf

from bnexp.graph import Graph, keeps_statistics
from bnexp.graph.ancestry import ancestors, bodies_write, is_write
from bnexp.graph.custom.layer import CustomLayer

v1 = tf.compat.v1

Check = Literal[
    "update_never_run",
    "update_at_inference",
    "unordered_average",
    "unordered_read",
    "two_sets",
    "shared_statistics",
    "trained_statistic",
    "not_saved",
]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a graph.

    Attributes:
        check: the kind of the finding, one of `Check`.
        layer: the name of the batch-norm layer concerned, `"bn1"`.
        op: the name of the op concerned.
        sentence: what is wrong, for the report.
    """

    check: Check
    layer: str
    op: str
    sentence: str


@dataclass(frozen=True)
class _Use:
    """The ops that use one variable, except its initialiser."""

    reads: tuple[tf.Operation, ...]
    writes: tuple[tf.Operation, ...]
    guarded: tuple[tf.Operation, ...]  # ops that call a function which writes, such as a tf.cond's branch


def audit_built(build: Callable[[], Graph]) -> list[Finding]:
    """Builds a graph in a tf.Graph of its own, and audits it.

    A graph in an engine will not do: in a wrapped function, variables have no ops that could be examined.

    Args:
        build: builds the network's graph in the current tf.Graph.

    Returns:
        What is wrong with the graph; empty if nothing is.

    Example:
        >>> audit_built(graph_builder(settings, dataset))
        []
    """
    with tf.Graph().as_default():
        return audit(build())


def audit(graph: Graph) -> list[Finding]:
    """Audits a graph that was built in the current tf.Graph.

    Args:
        graph: the graph that `build_graph` returned.

    Returns:
        What is wrong with the graph; empty if nothing is.

    Example:
        >>> with tf.Graph().as_default():
        ...     audit(graph_builder(settings, dataset)())
        []
    """
    trained = ancestors(graph.train.outputs.values())
    inferred = ancestors([graph.inference.outputs["outputs"]])
    moving = {
        name: [layer.moving_mean, layer.moving_variance]
        for name, layer in graph.layers.items()
        if keeps_statistics(layer)
    }
    saved = {variable.name for variable in v1.global_variables()}
    variables = [variable for variable in v1.global_variables() if not variable.trainable]
    uses = {variable.name: _use(variable) for variable in chain(variables, *moving.values())}
    findings = _shared(moving)
    for name, statistics in moving.items():
        findings += _reach(name, statistics, uses, trained, inferred)
        findings += _sets(name, statistics, uses, trained, _own_names(name, graph.layers[name], uses))
        for variable in statistics:
            if variable.name not in saved:
                said = f"a Saver() would not save {variable.name}: it is in no collection of variables"
                findings.append(Finding("not_saved", name, variable.name, said))
    return findings + _orders(graph, uses, trained, "training") + _orders(graph, uses, inferred, "inference")


def _use(variable: Any) -> _Use:
    consumers = [op for op in variable.handle.consumers() if op != variable.initializer]
    writes = tuple(op for op in consumers if is_write(op.type))
    guarded = tuple(op for op in consumers if op not in writes and bodies_write(op))
    return _Use(tuple(op for op in consumers if op.type == "ReadVariableOp"), writes, guarded)


def _reach(
    layer: str, moving: Iterable[Any], uses: Mapping[str, _Use], trained: set[Any], inferred: set[Any]
) -> list[Finding]:
    findings = []
    for variable in moving:
        use = uses[variable.name]
        # one write that runs is enough: an inference tower may create updates that are rightly never run
        if not any(op in trained for op in use.writes + use.guarded):
            for write in use.writes:
                said = f"{write.name} updates {variable.name} and is no ancestor of the train op: it never runs"
                findings.append(Finding("update_never_run", layer, write.name, said))
            for branch in use.guarded:
                said = f"{branch.name} guards the update of {variable.name} and is no ancestor of the train op"
                findings.append(Finding("update_never_run", layer, branch.name, said))
            if not use.writes and not use.guarded:
                said = f"nothing in the graph writes {variable.name}"
                findings.append(Finding("update_never_run", layer, variable.name.removesuffix(":0"), said))
        for write in use.writes:
            if write in inferred:
                said = f"{write.name} updates {variable.name} and is an ancestor of what inference fetches"
                findings.append(Finding("update_at_inference", layer, write.name, said))
            if write in trained and write.type.startswith("ResourceApply"):
                said = f"{write.name}, the optimizer's, moves {variable.name} by its gradient"
                findings.append(Finding("trained_statistic", layer, write.name, said))
    return findings


def _shared(moving: Mapping[str, Iterable[Any]]) -> list[Finding]:
    """Looks for statistics that several layers share."""
    findings = []
    owner: dict[int, str] = {}
    for layer, statistics in moving.items():
        for variable in statistics:
            first = owner.setdefault(id(variable), layer)
            if first != layer:
                said = f"{first} and {layer} share {variable.name}, and each step averages the batches of both into it"
                findings.append(Finding("shared_statistics", layer, variable.name.removesuffix(":0"), said))
    return findings


def _own_names(name: str, layer: Any, uses: Mapping[str, _Use]) -> list[str]:
    """Returns the names of the variables in `uses` that a layer has made."""
    if isinstance(layer, CustomLayer):
        made = {variable.name for variables in layer.born.values() for variable in variables}
        return [name for name in uses if name in made]
    # the names of an optimizer's slots begin with that of their variable
    slots = tuple(f"{variable.name.removesuffix(':0')}/" for variable in v1.trainable_variables())
    return [other for other in uses if other.startswith(f"{name}/") and not other.startswith(slots)]


def _sets(
    layer: str, moving: Iterable[Any], uses: Mapping[str, _Use], trained: set[Any], own: Iterable[str]
) -> list[Finding]:
    """Looks for layers whose training writes other statistics than inference reads."""
    read = {variable.name for variable in moving}
    written = [name for name in own if any(op in trained for op in uses[name].writes + uses[name].guarded)]
    if not written or read & set(written):
        return []
    said = f"training writes {', '.join(written)}; inference reads {', '.join(sorted(read))}"
    return [Finding("two_sets", layer, written[0].removesuffix(":0"), said)]


def _held(layer: Any) -> list[tf.Variable]:
    """Returns the variables that a layer has made, or keeps as attributes."""
    made = [v for variables in layer.born.values() for v in variables] if isinstance(layer, CustomLayer) else []
    return made + [value for value in vars(layer).values() if isinstance(value, tf.Variable)]


def _orders(graph: Graph, uses: Mapping[str, _Use], running: set[Any], when: str) -> list[Finding]:
    """Looks for a read and a write of one statistic in the same fetch, neither of which waits for the other."""
    findings = []
    layers = {variable.name: name for name, layer in graph.layers.items() for variable in _held(layer)}
    moving = {
        variable.name: name
        for name, layer in graph.layers.items()
        if keeps_statistics(layer)
        for variable in (layer.moving_mean, layer.moving_variance)
    }
    before = {}

    def waits_for(op: Any, other: Any) -> bool:
        if op not in before:
            before[op] = ancestors([], ops=[op])
        return other in before[op]

    for name, use in uses.items():
        for write in (op for op in use.writes if op in running):
            for read in (op for op in use.reads if op in running):
                if waits_for(read, write) or waits_for(write, read):
                    continue
                layer = layers.get(name, name.split("/")[0])
                averages = [w for m, of in moving.items() if of == layer and m != name for w in uses[m].writes]
                averaged = name not in moving and any(waits_for(average, read) for average in averages)
                check: Check = "unordered_average" if averaged else "unordered_read"
                said = f"in {when} nothing orders the read {read.name} of {name} against its assignment {write.name}"
                findings.append(Finding(check, layer, read.name, said))
    return findings
