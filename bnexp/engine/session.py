"""The classic TensorFlow 1 way: a tf.Graph and one Session.run per step. Slow; the compiled engine's reference."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bnexp.engine import Build, by_name
from bnexp.graph import OutputName, Subgraph

v1 = tf.compat.v1


class SessionEngine:
    """Runs subgraphs with Session.run and a feed_dict; an `Engine`.

    Args:
        build: builds the graph in the current tf.Graph.
        device: TensorFlow's name of the device, `"/CPU:0"`.
    """

    def __init__(self, build: Build, *, device: str) -> None:
        tf_graph = tf.Graph()
        with tf_graph.as_default(), tf.device(device):
            self.graph = build()
            self._variables, self._names = by_name(v1.global_variables())
            initializer = v1.global_variables_initializer()
        options = v1.ConfigProto(allow_soft_placement=True)
        # Grappler drops a control dependency that is implied by ops which do not run when a tensor after them is fed,
        # as Model.average feeds the moments
        rewriting = options.graph_options.rewrite_options
        rewriting.dependency_optimization = rewriting.OFF
        self._session = v1.Session(graph=tf_graph, config=options)
        self._session.run(initializer)

    def program(self, subgraph: Subgraph, *, calls: int | None = None) -> "_SessionProgram":
        """Returns the subgraph as a Python loop over Session.run; `calls` has no effect."""
        return _SessionProgram(self._session, subgraph)

    def name_of(self, variable: Any) -> str:
        """Returns the name by which `state` and `assign` refer to a variable of the graph."""
        return self._names[id(variable)]

    def state(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Returns copies of variables' values by name; all of them if `names` is None."""
        wanted = self._variables if names is None else {name: self._variables[name] for name in names}
        state: dict[str, np.ndarray] = self._session.run(wanted)
        return state

    def assign(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets variables by name; those that are left out keep their values."""
        initializers = [self._variables[name].initializer for name in values]
        # the second input of an initializer is the value that it assigns, and any tensor may be fed
        self._session.run(
            initializers, {op.inputs[1]: value for op, value in zip(initializers, values.values(), strict=True)}
        )


class _SessionProgram:
    def __init__(self, session: Any, subgraph: Subgraph) -> None:
        self._session, self._subgraph = session, subgraph

    def __call__(self, arrays: Sequence[np.ndarray], rows: np.ndarray) -> dict[OutputName, np.ndarray]:
        constants, outputs = dict(self._subgraph.constants), self._subgraph.outputs
        calls = [
            self._session.run(
                list(outputs.values()),
                constants | {feed: array[row] for feed, array in zip(self._subgraph.feeds, arrays, strict=True)},
            )
            for row in rows
        ]
        return {name: np.stack(column) for name, column in zip(outputs, zip(*calls, strict=True), strict=True)}
