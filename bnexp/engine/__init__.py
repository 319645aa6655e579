"""What an engine is: it holds a built graph with its variables, and runs subgraphs of it batch by batch.

There are two. `session` is the classic way of TensorFlow 1: a tf.Graph and one Session.run per step. `compiled` has the
same graph as a wrapped function, pruned to a subgraph, and calls it from loops inside the runtime. In both, only the
ancestors of what is fetched run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bnexp.graph import Graph, OutputName, Subgraph

Build = Callable[[], Graph]


class Program(Protocol):
    """One subgraph, ready to run."""

    def __call__(self, arrays: Sequence[np.ndarray], rows: np.ndarray) -> dict[OutputName, np.ndarray]:
        """Calls the subgraph once for each row of `rows`, in order, and stacks the outputs.

        Args:
            arrays: one array [examples, ...] for each feed of the subgraph.
            rows: the indices of the examples in each call's batch, [calls, batch] int32; [calls] if the feeds have no
                batch axis.

        Returns:
            The subgraph's outputs by name, each [calls, ...], as NumPy copies.
        """
        ...


class Engine(Protocol):
    """A built graph, its variables, and a way to run it.

    Attributes:
        graph: the graph that was built.
    """

    graph: Graph

    def program(self, subgraph: Subgraph, *, calls: int | None = None) -> Program:
        """Prepares a subgraph of this engine's graph for running.

        Args:
            subgraph: the subgraph to run.
            calls: a hint for engines that compile: the most calls in one compiled loop. None compiles no loop, which
                suits uses of few calls.
        """
        ...

    def name_of(self, variable: Any) -> str:
        """Returns the name by which `state` and `assign` refer to a variable of the graph."""
        ...

    def state(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Returns copies of variables' values by name.

        Args:
            names: the names of the variables; None returns all.
        """
        ...

    def assign(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets variables; those that are left out keep their values.

        Args:
            values: the new values by name, each of its variable's shape.
        """
        ...


def by_name(variables: Sequence[Any]) -> tuple[dict[str, Any], dict[int, str]]:
    """Gives variables unique names: a second one of the same name gets `_1`, as in a tf.Graph.

    Args:
        variables: the variables of a graph, in order of creation.

    Returns:
        The variables by name, and the names by `id` of the variable.

    Example:
        >>> named, names = by_name([tf.Variable(0.0, name="gamma"), tf.Variable(0.0, name="gamma")])
        >>> list(named)
        ['gamma', 'gamma_1']
    """
    named: dict[str, Any] = {}
    for variable in variables:
        name = base = variable.name.removesuffix(":0")
        number = 0
        while name in named:
            number += 1
            name = f"{base}_{number}"
        named[name] = variable
    return named, {id(variable): name for name, variable in named.items()}
