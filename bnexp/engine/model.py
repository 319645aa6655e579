"""A network with a variant and its variables: what the experiment trains, evaluates and measures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bnexp.engine import Engine, Program
from bnexp.graph import Constant, Of, OutputName, Subgraph, keeps_statistics
from bnexp.graph.ancestry import ancestor_types, any_writes
from bnexp.statistics.layer_statistics import LayerStatistics
from bnexp.statistics.moments import BatchMoments, Moments

# with fewer calls than this, a compilation takes longer than it saves
WORTH_COMPILING = 100

# the most calls in one compiled loop, which bounds the memory for its outputs
LONGEST_LOOP = 10_000


@dataclass(frozen=True)
class Steps:
    """What some consecutive training steps recorded.

    Attributes:
        losses: the loss of each step's batch before the weights are updated, [steps] float32.
        accuracies: the fraction of each step's batch that is predicted right, before the update, [steps] float32.
        layers: by layer, the moments of its input in each step, and its moving statistics after each step.
    """

    losses: np.ndarray
    accuracies: np.ndarray
    layers: Mapping[str, LayerStatistics]


class Model:
    """A built network with its variables: trains, predicts and measures.

    Args:
        engine: holds the graph and its variables, and runs it.
        note: a line for the user about how the graph is run; mostly empty.

    Attributes:
        note: the same line.
        graph: the graph of the network.
        layers: the names of the layers that keep moving statistics, in the order in which data passes through them.
        rank: the rank of the first layer's input: 2 after a dense layer, 4 after a convolution.
        positions: for each of `layers`, the number of values that one example has in one channel.

    Example:
        >>> model = build_model(settings, dataset, "/CPU:0")
        >>> model.predict(dataset.x_test[:5], batch_size=1).shape
        (5, 10)
    """

    def __init__(self, engine: Engine, note: str = "") -> None:
        self._engine, self.graph, self.note = engine, engine.graph, note
        self._programs: dict[tuple[tuple[str, ...], tuple[Constant, ...], int | None], Program] = {}
        self.layers = tuple(name for name, layer in engine.graph.layers.items() if keeps_statistics(layer))
        self.rank = next(iter(engine.graph.layer_ranks.values()))
        self.positions = {name: engine.graph.layer_positions[name] for name in self.layers}

    def train(self, inputs: np.ndarray, labels: np.ndarray, rows: np.ndarray, *, calls: int | None) -> Steps:
        """Runs one training step for each row of `rows`, in order.

        Args:
            inputs: the training examples, [examples, ...] float32.
            labels: the class of each example, [examples] int32.
            rows: the indices of the examples in each step's batch, [steps, batch] int32.
            calls: the most steps in one compiled loop; None runs them one by one.
        """
        subgraph = self._engine.graph.train
        subgraph = subgraph.only(name for name in subgraph.outputs if name != "outputs")
        outputs = self._program(subgraph, calls)([inputs, labels], rows)
        losses, accuracies = outputs.pop("loss"), outputs.pop("accuracy")
        return Steps(losses, accuracies, {name: LayerStatistics(**found) for name, found in _by_layer(outputs).items()})

    def average(
        self, recorded: Mapping[str, LayerStatistics], *, batch_size: int, calls: int | None
    ) -> dict[str, LayerStatistics]:
        """Updates the moving statistics as training steps with the recorded moments would, by the variant's own ops.

        To be called only if `updates_are_separable`. The weights may change as a side effect and must be assigned
        afterwards.

        Args:
            recorded: the batch moments of each step by layer, as `train` records them; moving statistics are ignored.
            batch_size: the number of examples in the batch of each recorded step.
            calls: the most steps in one compiled loop; None runs them one by one. The statistics are equal to those of
                `train` bit for bit if `calls` is None in both or in neither.

        Returns:
            The recorded moments with the moving statistics after each step.
        """
        graph = self._engine.graph
        assert graph.average is not None
        assert graph.averaging is not None
        shapes = tuple(
            (tensor, tuple(batch_size if size is None else size for size in shape))
            for tensor, shape in graph.averaging.shapes
        )
        subgraph = replace(graph.average, constants=(*graph.average.constants, *shapes))
        moments = [getattr(recorded[layer], moment) for layer, moment in graph.averaging.moments]
        steps = len(next(iter(recorded.values())).batch_mean)
        # if the updates wait for a training step, it is run on one example of zeros
        blank = [
            np.zeros([steps, 1, *feed.shape[1:]], feed.dtype.as_numpy_dtype)
            for feed in graph.average.feeds[: len(graph.average.feeds) - len(graph.averaging.moments)]
        ]
        outputs = self._program(subgraph, calls)([*blank, *moments], np.arange(steps, dtype=np.int32))
        moved = _by_layer(outputs)
        return {layer: replace(statistics, **moved.get(layer, {})) for layer, statistics in recorded.items()}

    def updates_are_separable(self, inputs: np.ndarray, labels: np.ndarray) -> bool:
        """Tells whether `average` may update the statistics in place of training, because training never reads them.

        The graph must have separable updates, and a training step that starts from other moving statistics must give
        the same loss, moments and weights, bit for bit. Every variable is left as it was.

        Args:
            inputs: the examples of one training batch, [batch, ...] float32.
            labels: their classes, [batch] int32.
        """
        if self._engine.graph.average is None:
            return False
        outcomes = []
        averages = self.averages()
        rows = np.arange(len(inputs), dtype=np.int32)[None]
        for poison in (None, 3.0, np.nan):
            with self.untouched():
                if poison is not None:
                    self.assign({name: np.full_like(value, poison) for name, value in averages.items()})
                step = self.train(inputs, labels, rows, calls=None)
                moments = [array for one in step.layers.values() for array in (one.batch_mean, one.batch_variance)]
                outcomes.append([step.losses, *moments, *self.weights().values()])
        return all(
            np.array_equal(value, other, equal_nan=True)
            for outcome in outcomes[1:]
            for value, other in zip(outcomes[0], outcome, strict=True)
        )

    def averages(self) -> dict[str, np.ndarray]:
        """Returns a copy of the variables that `average` updates: moving statistics and what their updates need."""
        return self._engine.state(self._average_names())

    def weights(self) -> dict[str, np.ndarray]:
        """Returns a copy of all variables that are not in `averages`, by name: weights and optimizer slots."""
        averages = set(self._average_names())
        return {name: value for name, value in self.state().items() if name not in averages}

    def _average_names(self) -> list[str]:
        averaging = self._engine.graph.averaging
        return [self._engine.name_of(variable) for variable in averaging.variables] if averaging else []

    def predict(self, inputs: np.ndarray, *, batch_size: int, batch_mode: bool = False) -> np.ndarray:
        """Returns the network's outputs, [examples, classes] float32, computed batch by batch in order.

        A variant that leaks changes its statistics by this: to prevent it, call inside `untouched`.

        Args:
            inputs: the examples, [examples, ...] float32.
            batch_size: the number of examples in a batch; the last batch may be smaller.
            batch_mode: whether the layers normalise with the batch, as in training.
        """
        graph = self._engine.graph
        subgraph = graph.batch_mode if batch_mode else graph.inference.only(["outputs"])
        parts = [self._run(subgraph, inputs, rows)["outputs"] for rows in _batches(np.arange(len(inputs)), batch_size)]
        return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])

    def monitor(self, inputs: np.ndarray, count: int) -> np.ndarray:
        """Returns outputs [count, classes] float32 for held-out data, run as the variant's users do during training.

        With some variants this is a mistake that changes the statistics, and they are left changed.

        Args:
            inputs: the held-out examples, [examples, ...] float32.
            count: how many of them to run, from the first, as one batch.
        """
        outputs = self._run(self._engine.graph.monitor, inputs, np.arange(count, dtype=np.int32)[None])["outputs"]
        return outputs.reshape(-1, outputs.shape[-1])

    def input_moments(
        self,
        inputs: np.ndarray,
        order: np.ndarray,
        *,
        batch_size: int,
        batch_mode: bool,
        layers: Sequence[str] | None = None,
    ) -> dict[str, BatchMoments]:
        """Measures the moments of each layer's input, batch by batch, in float64.

        Args:
            inputs: the examples, [examples, ...] float32.
            order: the indices of the examples to measure, [n] int, in order.
            batch_size: the number of examples in a batch; the last batch may be smaller.
            batch_mode: whether the layers normalise with the batch, as in training, or as at inference.
            layers: the names of the layers to measure; None measures all, even those that keep no statistics.

        Returns:
            The moments of each batch by layer.
        """
        graph = self._engine.graph
        subgraph = graph.batch_mode_moments if batch_mode else graph.inference_moments
        layers = tuple(graph.layers) if layers is None else layers
        if not layers:
            return {}
        subgraph = subgraph.only(Of(layer, part) for layer in layers for part in ("mean", "variance"))
        batches = list(_batches(order, batch_size))
        parts = [self._run(subgraph, inputs, rows) for rows in batches]
        sizes = np.concatenate([np.full(len(rows), rows.shape[1], np.float64) for rows in batches])
        return {
            layer: BatchMoments(
                sizes * graph.layer_positions[layer],
                np.concatenate([part[Of(layer, "mean")] for part in parts]),
                np.concatenate([part[Of(layer, "variance")] for part in parts]),
            )
            for layer in layers
        }

    def sample(self, inputs: np.ndarray, rows: np.ndarray) -> tuple[dict[str, BatchMoments], dict[str, np.ndarray]]:
        """Measures each layer's input and its first output channel in training mode; every variable is left as it was.

        Args:
            inputs: the examples, [examples, ...] float32.
            rows: the indices of the examples in each batch, [batches, batch] int32.

        Returns:
            By layer, the moments of its input in each batch, computed in float32 as by `train`; and by layer, all
            values of the first channel of its output, [values] float32.
        """
        graph = self._engine.graph
        with self.untouched() if self._sampling_writes else nullcontext():
            found = self._run(graph.batch_mode_sample, inputs, rows)
        sizes = np.full(len(rows), rows.shape[1], np.float64)
        moments = {
            layer: BatchMoments(
                sizes * positions,
                found[Of(layer, "batch_mean")].astype(np.float64),
                found[Of(layer, "batch_variance")].astype(np.float64),
            )
            for layer, positions in graph.layer_positions.items()
        }
        return moments, {layer: found[Of(layer, "unit")].reshape(-1) for layer in graph.layers}

    @cached_property
    def _sampling_writes(self) -> bool:
        return any_writes(ancestor_types(self._engine.graph.batch_mode_sample.outputs.values()))

    def moving_statistics(self) -> dict[str, Moments]:
        """Returns each layer's moving mean and variance, [channels] float32, as they are now."""
        names = {
            layer: [self._engine.name_of(v) for v in (made.moving_mean, made.moving_variance)]
            for layer, made in self._engine.graph.layers.items()
            if keeps_statistics(made)
        }
        state = self._engine.state({name for pair in names.values() for name in pair})
        # a custom layer's variable may have axes of length 1 besides, as from keepdims
        return {layer: Moments(*(state[name].reshape(-1) for name in pair)) for layer, pair in names.items()}

    def assign_moving_statistics(self, statistics: Mapping[str, Moments]) -> None:
        """Sets the moving statistics of some layers, rounded to float32.

        Args:
            statistics: the mean and variance [channels] by layer; layers that are left out keep theirs.
        """
        values = {}
        for name, layer in self._engine.graph.layers.items():
            if name in statistics and keeps_statistics(layer):
                for variable, value in (
                    (layer.moving_mean, statistics[name].mean),
                    (layer.moving_variance, statistics[name].variance),
                ):
                    values[self._engine.name_of(variable)] = value.astype(np.float32).reshape(variable.shape)
        self._engine.assign(values)

    def state(self) -> dict[str, np.ndarray]:
        """Returns a copy of every variable by name: weights, moving statistics, optimizer slots."""
        return self._engine.state()

    def assign(self, state: Mapping[str, np.ndarray]) -> None:
        """Sets the variables in `state`, values by name; the others keep theirs."""
        self._engine.assign(state)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Restores, after the block, every variable that the block has changed.

        Example:
            >>> with model.untouched():
            ...     outputs = model.predict(inputs, batch_size=1)
        """
        before = self.state()
        try:
            yield
        finally:
            after = self.state()
            self.assign({name: value for name, value in before.items() if not _same_bits(value, after[name])})

    def _run(self, subgraph: Subgraph, inputs: np.ndarray, rows: np.ndarray) -> dict[OutputName, np.ndarray]:
        calls = min(len(rows), LONGEST_LOOP) if len(rows) >= WORTH_COMPILING else None
        return self._program(subgraph, calls)([inputs], rows)

    def _program(self, subgraph: Subgraph, calls: int | None) -> Program:
        key = (
            tuple(tensor.name for tensor in subgraph.outputs.values()),
            tuple(value for _, value in subgraph.constants),
            calls,
        )
        if key not in self._programs:
            self._programs[key] = self._engine.program(subgraph, calls=calls)
        return self._programs[key]


def _by_layer(outputs: Mapping[OutputName, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Groups the outputs of layers by layer: `{layer: {output: array}}`; leaves out those of the network."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, array in outputs.items():
        if isinstance(name, Of):
            found.setdefault(name.layer, {})[name.output] = array
    return found


def _same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    # compared as bytes, so that a NaN equals itself and -0.0 differs from 0.0
    return one.tobytes() == other.tobytes()


def _batches(order: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Yields the full batches of `order` as [batches, batch_size] and then, if examples are left, [1, rest]."""
    order = order.astype(np.int32)
    full = len(order) // batch_size * batch_size
    if full:
        yield order[:full].reshape(-1, batch_size)
    if full < len(order):
        yield order[None, full:]
