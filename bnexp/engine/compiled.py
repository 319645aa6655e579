"""The fast way: the same graph as a wrapped function, whose subgraphs are called from loops inside the runtime.

`tf.compat.v1.wrap_function` keeps a graph's semantics (collections, and only ancestors of a fetch run), and a subgraph
of it can be called from a `tf.function`. Many training steps are then one call, with batches gathered in the graph.

There are four ways to loop, chosen by measurements on two cores:
  1. `whole`: XLA compiles the loop itself. For dense networks: two to three times the rate of Session.run.
  2. `side_by_side`: one compiled loop per core, each with its part of the calls. For calls that write nothing: twice
     the rate of one loop, also with convolutions over single examples, which are too small to be split among cores.
  3. `serial`: an ordinary loop whose iterations run one after the other. For training with convolutions on a CPU:
     TensorFlow's kernels for them take two thirds of the time of XLA's, and a tenth of that of XLA's inside a loop.
  4. `parallel`: an ordinary loop whose iterations overlap. For convolutions over batches in calls that write nothing,
     and for a short series of calls that is repeated.

Iterations of an ordinary loop overlap by default, and nothing orders one step's writes before the next step's reads:
wherever a variable is written, the loop must be serial.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from math import ceil
from typing import Any, Literal

import numpy as np
import tensorflow as tf

# private, since there is no public way: the gradient of a tf.cond compiles only if the graph was built in an XLA
# context
from tensorflow.python.ops import control_flow_ops

from bnexp.engine import Build, by_name
from bnexp.graph import Graph, OutputName, Subgraph
from bnexp.graph.ancestry import ancestor_types, any_writes
from bnexp.runtime.threads import cores

v1 = tf.compat.v1

Loop = Literal["whole", "side_by_side", "serial", "parallel"]

# the most iterations of a `parallel` loop that overlap; the fastest number on two cores
PARALLEL_ITERATIONS = 10


class CompiledEngine:
    """Runs subgraphs from compiled loops; an `Engine`.

    Args:
        build: builds the graph in the current graph, that of a wrapped function.
        device: TensorFlow's name of the device, `"/CPU:0"`.
    """

    def __init__(self, build: Build, *, device: str) -> None:
        graphs: list[Graph] = []

        def traced() -> list[tf.Tensor]:
            context = control_flow_ops.XLAControlFlowContext()
            context.Enter()
            try:
                graphs.append(build())
            finally:
                context.Exit()
            return []

        self._device = device
        with tf.device(device):
            self._wrapped = v1.wrap_function(traced, [])
        self.graph = graphs[0]
        self._variables, self._names = by_name(self._wrapped.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES))
        self._arrays: dict[int, tuple[weakref.ref[np.ndarray], tf.Tensor]] = {}

    def program(self, subgraph: Subgraph, *, calls: int | None = None) -> "_CompiledProgram":
        """Returns the subgraph compiled into a loop of at most `calls` calls; None calls it without a compiled loop."""
        placeholders = [*subgraph.feeds, *(flag for flag, _ in subgraph.constants)]
        # without a signature TensorFlow first tries each call without one, and fails with a message of all its
        # arguments
        signature = tuple(tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in placeholders)
        call = self._wrapped.prune(placeholders, list(subgraph.outputs.values()), input_signature=(signature, {}))
        constants = [value for _, value in subgraph.constants]
        return _CompiledProgram(self, subgraph, lambda *feeds: call(*feeds, *map(tf.constant, constants)), calls)

    def name_of(self, variable: Any) -> str:
        """Returns the name by which `state` and `assign` refer to a variable of the graph."""
        return self._names[id(variable)]

    def state(self, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Returns copies of variables' values by name; all of them if `names` is None."""
        return {name: self._variables[name].numpy() for name in (self._variables if names is None else names)}

    def assign(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets variables by name; those that are left out keep their values."""
        for name, value in values.items():
            self._variables[name].assign(value)

    def on_device(self, array: np.ndarray) -> tf.Tensor:
        """Returns `array` as a tensor on the device; it is copied once, and kept there as long as the array exists."""
        key = id(array)
        if key not in self._arrays:
            with tf.device(self._device):
                # removed with the array, since another array may then get its id
                gone = weakref.ref(array, lambda _: self._arrays.pop(key))
                self._arrays[key] = gone, tf.constant(array)
        return self._arrays[key][1]


class _CompiledProgram:
    def __init__(self, engine: CompiledEngine, subgraph: Subgraph, call: Callable[..., Any], calls: int | None) -> None:
        self._engine, self._subgraph, self._call, self._calls = engine, subgraph, call, calls
        self._types = ancestor_types(subgraph.outputs.values())
        self._traced: dict[Any, Callable[..., Any]] = {}
        self._seen: set[tuple[int, ...]] = set()

    def __call__(self, arrays: Sequence[np.ndarray], rows: np.ndarray) -> dict[OutputName, np.ndarray]:
        tensors = [self._engine.on_device(array) for array in arrays]
        length = self._calls or self._length_of_repeated(rows)
        with tf.device(self._engine._device):
            if length is None:
                calls = [self._call(*(tf.gather(tensor, row) for tensor in tensors)) for row in rows]
                stacked = [np.stack(column) for column in zip(*calls, strict=True)]
            else:
                chunks = [self._chunk(tensors, rows[i : i + length], length) for i in range(0, len(rows), length)]
                stacked = [np.concatenate(column) for column in zip(*chunks, strict=True)]
        return dict(zip(self._subgraph.outputs, stacked, strict=True))

    def _length_of_repeated(self, rows: np.ndarray) -> int | None:
        """Returns the length of an ordinary loop over these calls; None if they are to be made one by one.

        A loop pays from the second time on that rows of this shape are run, and gives the same bits. It is used only if
        the calls write nothing.
        """
        repeated = rows.shape in self._seen
        self._seen.add(rows.shape)
        return len(rows) if repeated and len(rows) > 1 and not any_writes(self._types) else None

    def _chunk(self, tensors: Sequence[tf.Tensor], rows: np.ndarray, length: int) -> list[np.ndarray]:
        # padded to one length, so that the loop is not compiled again for a shorter last chunk
        padded = np.concatenate([rows, np.zeros([length - len(rows), *rows.shape[1:]], rows.dtype)])
        feeds = tensors, tf.constant(padded), tf.constant(len(rows))
        shapes = tuple(tuple(tensor.shape) for tensor in [*tensors, padded])
        if shapes not in self._traced:
            # traced explicitly: TensorFlow would warn that many loops from one line are one function retraced by
            # mistake
            batch = padded.shape[1] if padded.ndim > 1 else 1
            loop: Loop = "parallel" if self._calls is None else _best_loop(self._types, self._engine._device, batch)
            run = _make_loop(self._call, list(self._subgraph.outputs.values()), loop)
            self._traced[shapes] = run.get_concrete_function(*feeds)
        stacked = self._traced[shapes](*feeds)
        return [column.numpy()[: len(rows)] for column in stacked]


def _best_loop(types: Set[str], device: str, batch: int) -> Loop:
    """Chooses how to loop over the calls of a subgraph.

    Args:
        types: the types of the ops that a call runs.
        device: TensorFlow's name of the device.
        batch: the number of examples in a call's batch.
    """
    if "GPU" in device:
        return "whole"
    if "Conv2D" in types and (batch > 1 or "Conv2DBackpropFilter" in types):
        return "serial" if any_writes(types) else "parallel"
    return "whole" if any_writes(types) else "side_by_side"


def _make_loop(call: Callable[..., Any], outputs: Sequence[tf.Tensor], loop: Loop) -> Any:
    @tf.function(jit_compile=loop in ("whole", "side_by_side"))
    def run(tensors: Sequence[tf.Tensor], rows: tf.Tensor, count: tf.Tensor) -> list[tf.Tensor]:
        length, *batch = rows.shape
        columns = [
            # the only axis of unknown length in the graph is the batch, whose length is known here
            tf.TensorArray(out.dtype, length, element_shape=[batch[0] if size is None else size for size in out.shape])
            for out in outputs
        ]

        def body(i: tf.Tensor, columns: Sequence[tf.TensorArray]) -> tuple[tf.Tensor, list[tf.TensorArray]]:
            results = call(*(tf.gather(tensor, rows[i]) for tensor in tensors))
            return i + 1, [column.write(i, result) for column, result in zip(columns, results, strict=True)]

        _, columns = tf.while_loop(
            lambda i, _: i < count,
            body,
            (tf.constant(0), columns),
            parallel_iterations=PARALLEL_ITERATIONS if loop == "parallel" else 1,
        )
        return [column.stack() for column in columns]

    return _side_by_side(run) if loop == "side_by_side" else run


def _side_by_side(loop: Any) -> Any:
    """Returns a loop that divides its calls among one `loop` per core."""

    @tf.function
    def run(tensors: Sequence[tf.Tensor], rows: tf.Tensor, count: tf.Tensor) -> list[tf.Tensor]:
        length = rows.shape[0]
        loops = cores()
        part = ceil(length / loops)  # all of one length, so that XLA compiles once
        padded = tf.pad(rows, [[0, part * loops - length], *([0, 0] for _ in rows.shape[1:])])
        parts = [
            loop(tensors, padded[first : first + part], tf.clip_by_value(count - first, 0, part))
            for first in range(0, part * loops, part)
        ]
        return [tf.concat(column, 0)[:length] for column in zip(*parts, strict=True)]

    return run
