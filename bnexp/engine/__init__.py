"""What an engine is: it holds a built graph with its variables, and runs prunings of it over batches of rows.

There are two. `session` is what the documents ran: a tf.Graph, one Session.run a step. `compiled` is the same graph as
a wrapped function, whose prunings are called from compiled loops. Both keep the rule that only ancestors of a fetch
run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bnexp.graph import Graph, Pruning

Build = Callable[[], Graph]


class Program(Protocol):
    """One pruning, ready to run."""

    def __call__(self, arrays: Sequence[np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
        """Calls the pruning once for each row of `rows`, in order, and stacks what it returns.

        Args:
            arrays: one array [examples, ...] for each feed of the pruning.
            rows: [calls, batch] int32, the examples of each call's batch; [calls] for feeds without a batch axis.

        Returns:
            The pruning's outputs by name, each [calls, ...], as NumPy copies.
        """
        ...


class Engine(Protocol):
    """A built graph, its variables, and a way to run it."""

    graph: Graph

    def program(self, pruning: Pruning, *, calls: int | None = None) -> Program:
        """Makes a program of a pruning.

        Args:
            pruning: what to run.
            calls: a hint for engines that compile: how many calls a use of the program makes at most. None for uses too
                short to be worth a compilation.
        """
        ...

    def name_of(self, variable: Any) -> str:
        """Returns the name under which `state` and `assign` know a variable of the graph."""
        ...

    def state(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Returns a copy of every variable, or of those named, by name."""
        ...

    def assign(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets variables by name; those not named keep their values."""
        ...


def by_name(variables: Sequence[Any]) -> tuple[dict[str, Any], dict[int, str]]:
    """Names variables, in order of creation, so that a second one of a name gets `_1`, as tf.Graph itself would do.

    Returns:
        The variables by name, and the names by `id` of the variable.
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
