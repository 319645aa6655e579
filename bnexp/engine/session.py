"""The documents' way: a tf.Graph, and one Session.run a step. Slow, and the reference for the compiled engine."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bnexp.engine import Build, by_name
from bnexp.graph import Pruning

v1 = tf.compat.v1


class SessionEngine:
    """Runs prunings with Session.run and a feed_dict."""

    def __init__(self, build: Build, *, device: str) -> None:
        tf_graph = tf.Graph()
        with tf_graph.as_default(), tf.device(device):
            self.graph = build()
            self._variables, self._names = by_name(v1.global_variables())
            initializer = v1.global_variables_initializer()
        options = v1.ConfigProto(allow_soft_placement=True)
        # it takes an order for granted that only ops had which a fed tensor replaces, as the moments in Model.average
        rewriting = options.graph_options.rewrite_options
        rewriting.dependency_optimization = rewriting.OFF
        self._session = v1.Session(graph=tf_graph, config=options)
        self._session.run(initializer)

    def program(self, pruning: Pruning, *, calls: int | None = None) -> "_SessionProgram":
        """Returns the pruning as a loop over Session.run; `calls` makes no difference here."""
        return _SessionProgram(self._session, pruning)

    def name_of(self, variable: Any) -> str:
        """Returns the name under which `state` and `assign` know a variable of the graph."""
        return self._names[id(variable)]

    def state(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Returns a copy of every variable, or of those named, by name."""
        wanted = self._variables if names is None else {name: self._variables[name] for name in names}
        state: dict[str, np.ndarray] = self._session.run(wanted)
        return state

    def assign(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets variables by name; those not named keep their values."""
        initializers = [self._variables[name].initializer for name in values]
        # an initializer's second input is the value it assigns, and any tensor may be fed
        self._session.run(
            initializers, {op.inputs[1]: value for op, value in zip(initializers, values.values(), strict=True)}
        )


class _SessionProgram:
    def __init__(self, session: Any, pruning: Pruning) -> None:
        self._session, self._pruning = session, pruning

    def __call__(self, arrays: Sequence[np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
        constants = dict(self._pruning.constants)
        calls = [
            self._session.run(
                dict(self._pruning.outputs),
                constants | {feed: array[row] for feed, array in zip(self._pruning.feeds, arrays, strict=True)},
            )
            for row in rows
        ]
        return {name: np.stack([call[name] for call in calls]) for name in self._pruning.outputs}
