"""A network with a variant, its variables and the few things the experiment does with them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bnexp.ancestry import ancestor_types, any_writes
from bnexp.engine import Engine, Program
from bnexp.graph import Constant, Pruning, keeps_statistics
from bnexp.moments import BatchMoments, Moments

# below this many calls a compilation costs more than it saves
WORTH_COMPILING = 100

# the most calls in one compiled loop: bounds what the loop holds at once
LONGEST_LOOP = 10_000

RECORDED = ("moving_mean", "moving_variance", "batch_mean", "batch_variance")


@dataclass(frozen=True)
class Steps:
    """What some training steps recorded.

    Attributes:
        losses: [steps] float32, each step's before its update.
        accuracies: [steps] float32, on each step's batch.
        statistics: by `<layer>/<statistic>`, [steps, channels] float32: `moving_mean` and `moving_variance` after each
            step, `batch_mean` and `batch_variance` (ddof 0) of the layer's input in it.
    """

    losses: np.ndarray
    accuracies: np.ndarray
    statistics: Mapping[str, np.ndarray]


class Model:
    """Trains, predicts and measures, always the same graph."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.graph = engine, engine.graph
        self._programs: dict[tuple[tuple[str, ...], tuple[Constant, ...], int | None], Program] = {}
        self.layers = tuple(name for name, layer in engine.graph.layers.items() if keeps_statistics(layer))
        self.rank = next(iter(engine.graph.layer_ranks.values()))
        self.positions = {name: engine.graph.layer_positions[name] for name in self.layers}

    def train(self, inputs: np.ndarray, labels: np.ndarray, rows: np.ndarray, *, calls: int | None) -> Steps:
        """Runs one training step for each row of `rows` [steps, batch] int32, in order.

        Args:
            inputs: [examples, ...] float32.
            labels: [examples] int32.
            rows: the examples of each step.
            calls: steps in one compiled loop; None calls step by step.
        """
        pruning = self._engine.graph.train
        pruning = pruning.only(name for name in pruning.outputs if name != "outputs")
        outputs = self._program(pruning, calls)([inputs, labels], rows)
        return Steps(outputs.pop("loss"), outputs.pop("accuracy"), outputs)

    def average(
        self, moments: Mapping[str, np.ndarray], *, batch_size: int, calls: int | None
    ) -> dict[str, np.ndarray]:
        """Moves the moving statistics as training steps with these moments would, by the variant's own updates.

        Only where `averages_apart` says so. It may move the weights, to no purpose: they are to be assigned afterwards.

        Args:
            moments: `<layer>/batch_mean` and `<layer>/batch_variance`, [steps, channels] float32, as `train` records.
            batch_size: of those steps.
            calls: as for `train`, whose bits come out only where both are compiled or neither is.

        Returns:
            `<layer>/moving_mean` and `<layer>/moving_variance` after each step, [steps, channels] float32.
        """
        graph = self._engine.graph
        assert graph.average is not None
        assert graph.averaging is not None
        shapes = tuple(
            (tensor, tuple(batch_size if size is None else size for size in shape))
            for tensor, shape in graph.averaging.shapes
        )
        pruning = replace(graph.average, constants=(*graph.average.constants, *shapes))
        steps = len(next(iter(moments.values())))
        # where a step has to run beside the updates, it is one on a single blank example
        blank = [
            np.zeros([steps, 1, *feed.shape[1:]], feed.dtype.as_numpy_dtype)
            for feed in graph.average.feeds[: len(graph.average.feeds) - len(graph.averaging.moments)]
        ]
        arrays = [*blank, *(moments[name] for name in graph.averaging.moments)]
        return self._program(pruning, calls)(arrays, np.arange(steps, dtype=np.int32))

    def averages_apart(self, inputs: np.ndarray, labels: np.ndarray) -> bool:
        """Tells whether `average` can move the statistics apart from training, because training never reads them.

        The graph says whether the updates can be cut out of it. Whether anything else reads what they write is tried:
        a step on the batch `inputs`, with other statistics, must give the same bits. Every variable is left as it was.
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
                recorded = {name: value for name, value in step.statistics.items() if "/batch_" in name}
                outcomes.append(recorded | {"loss": step.losses} | self.weights())
        return all(
            np.array_equal(value, outcome[name], equal_nan=True)
            for outcome in outcomes[1:]
            for name, value in outcomes[0].items()
        )

    def averages(self) -> dict[str, np.ndarray]:
        """Returns a copy of every variable that `average` may move: moving statistics and what goes with them."""
        return self._engine.state(self._average_names())

    def weights(self) -> dict[str, np.ndarray]:
        """Returns a copy of every other variable: weights and optimizer slots."""
        averages = set(self._average_names())
        return {name: value for name, value in self.state().items() if name not in averages}

    def _average_names(self) -> list[str]:
        averaging = self._engine.graph.averaging
        return [self._engine.name_of(variable) for variable in averaging.variables] if averaging else []

    def predict(self, inputs: np.ndarray, *, batch_size: int, batch_mode: bool = False) -> np.ndarray:
        """Returns the network's outputs [examples, classes] float32, computed batch by batch in the examples' order.

        In `batch_mode` the layers normalise with the batch they are given, as in training. Either way a variant that
        leaks moves its statistics: wrap the call in `untouched`.
        """
        graph = self._engine.graph
        pruning = graph.batch_mode if batch_mode else graph.inference.only(["outputs"])
        parts = [self._run(pruning, inputs, rows)["outputs"] for rows in _batches(np.arange(len(inputs)), batch_size)]
        return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])

    def monitor(self, inputs: np.ndarray, count: int) -> np.ndarray:
        """Returns outputs [count, classes] for held-out data, the way the variant's users watch it while they train.

        It is for some variants a mistake that moves the statistics; nothing is put back here.

        Args:
            inputs: [examples, ...] float32.
            count: the examples to watch, from the first.
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
        """Measures each layer's input, batch by batch.

        Args:
            inputs: [examples, ...] float32.
            order: [n] int, the examples to measure, in order; the last batch may be shorter.
            batch_size: examples a batch.
            batch_mode: whether the layers before normalise with the batch (as in training) or as at inference.
            layers: those to measure; all by default, also those that keep no statistics.
        """
        graph = self._engine.graph
        pruning = graph.batch_mode_moments if batch_mode else graph.inference_moments
        layers = tuple(graph.layers) if layers is None else layers
        if not layers:
            return {}
        pruning = pruning.only(f"{layer}/{part}" for layer in layers for part in ("mean", "variance"))
        batches = list(_batches(order, batch_size))
        parts = [self._run(pruning, inputs, rows) for rows in batches]
        sizes = np.concatenate([np.full(len(rows), rows.shape[1], np.float64) for rows in batches])
        return {
            layer: BatchMoments(
                sizes * graph.layer_positions[layer],
                np.concatenate([part[f"{layer}/mean"] for part in parts]),
                np.concatenate([part[f"{layer}/variance"] for part in parts]),
            )
            for layer in layers
        }

    def sample(self, inputs: np.ndarray, rows: np.ndarray) -> tuple[dict[str, BatchMoments], dict[str, np.ndarray]]:
        """Measures, in training mode, each layer's input and what the first unit behind it is given.

        Every variable is left as it was.

        Args:
            inputs: [examples, ...] float32.
            rows: [batches, batch] int32, the examples of each batch.

        Returns:
            By layer, the moments of its input, computed in float32 as `train` records them, and all values of the first
            channel of its output, [values] float32.
        """
        graph = self._engine.graph
        with self.untouched() if self._sampling_writes else nullcontext():
            found = self._run(graph.batch_mode_sample, inputs, rows)
        sizes = np.full(len(rows), rows.shape[1], np.float64)
        moments = {
            layer: BatchMoments(
                sizes * positions,
                found[f"{layer}/batch_mean"].astype(np.float64),
                found[f"{layer}/batch_variance"].astype(np.float64),
            )
            for layer, positions in graph.layer_positions.items()
        }
        return moments, {layer: found[f"{layer}/unit"].reshape(-1) for layer in graph.layers}

    @cached_property
    def _sampling_writes(self) -> bool:
        return any_writes(ancestor_types(self._engine.graph.batch_mode_sample.outputs.values()))

    def moving_statistics(self) -> dict[str, Moments]:
        """Returns each layer's moving mean and variance, [channels] float32, as inference would read them now."""
        names = {
            layer: [self._engine.name_of(v) for v in (made.moving_mean, made.moving_variance)]
            for layer, made in self._engine.graph.layers.items()
            if keeps_statistics(made)
        }
        state = self._engine.state({name for pair in names.values() for name in pair})
        # a stranger's variable may keep the axes that it was reduced over
        return {layer: Moments(*(state[name].reshape(-1) for name in pair)) for layer, pair in names.items()}

    def assign_moving_statistics(self, statistics: Mapping[str, Moments]) -> None:
        """Sets the moving statistics of the layers named; rounds to float32."""
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
        """Returns a copy of every variable: weights, moving statistics, optimizer slots."""
        return self._engine.state()

    def assign(self, state: Mapping[str, np.ndarray]) -> None:
        """Sets every variable named in `state`."""
        self._engine.assign(state)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Puts every variable back to what it was, whatever the block did to it."""
        before = self.state()
        try:
            yield
        finally:
            after = self.state()
            self.assign({name: value for name, value in before.items() if not _same_bits(value, after[name])})

    def _run(self, pruning: Pruning, inputs: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
        calls = min(len(rows), LONGEST_LOOP) if len(rows) >= WORTH_COMPILING else None
        return self._program(pruning, calls)([inputs], rows)

    def _program(self, pruning: Pruning, calls: int | None) -> Program:
        key = (
            tuple(tensor.name for tensor in pruning.outputs.values()),
            tuple(value for _, value in pruning.constants),
            calls,
        )
        if key not in self._programs:
            self._programs[key] = self._engine.program(pruning, calls=calls)
        return self._programs[key]


def _same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    # as bytes: a NaN is the same as itself, and -0.0 is not 0.0
    return one.tobytes() == other.tobytes()


def _batches(order: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Cuts `order` into a matrix [batches, batch_size] of full batches and, where examples are left, a shorter row."""
    order = order.astype(np.int32)
    full = len(order) // batch_size * batch_size
    if full:
        yield order[:full].reshape(-1, batch_size)
    if full < len(order):
        yield order[None, full:]
