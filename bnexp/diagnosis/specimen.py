"""One layer in a graph of its own, run with inputs that show what it does.

It is run as its users would run it (its own train op, its own training flag), with batches whose means, spreads and
sizes differ from call to call, so that no two recurrences and no two ways to normalise give the same results. Each
inference call starts from other moving statistics, which shows whether and how they are used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from bnexp.diagnosis.activation import ACTIVATIONS, NONE, could_be
from bnexp.diagnosis.normalisation import (
    acting_epsilon,
    affine_of,
    fit,
    gradient_uses,
    inference_uses,
    training_uses,
    with_own_moments,
)
from bnexp.diagnosis.recurrence import TOLERANCE, recurrence
from bnexp.engine.session import SessionEngine
from bnexp.engine.single_layer import LAYER, lone_graph, run_calls
from bnexp.graph import Graph, Subgraph, keeps_statistics
from bnexp.graph.layer import taken_by
from bnexp.statistics.reference import batch_mean, batch_variance

# chosen so that decay, 1 - decay, decay**2 and 1 - decay**2 (0.9, 0.1, 0.81, 0.19) are clearly different
DECAY = 0.9

# large, so that an epsilon in the wrong place makes a difference
EPSILON = 0.1

# the epsilons that are tried where a layer has its own
USUAL_EPSILONS = (1e-3, 1e-5, 1e-4, 1e-6, 1e-8, 0.0, 1e-2, 2e-5, 1e-7)

# by channel: typical mean, smallest and largest standard deviation of a batch. The first is narrow, so that a lower
# bound of the variance shows; two are moderate; the mean of the last is hundreds of standard deviations, so that
# E[x**2] - E[x]**2 shows
OFFSETS, NARROWEST, WIDEST = (-12.0, 0.5, 6.0, 300.0), (0.05, 0.5, 0.5, 0.5), (0.2, 2.0, 2.0, 2.0)
CHANNELS = len(OFFSETS)

# every value of the batch of equal rows
CONSTANT = 5.0

# the two sizes of the training batches, so that a layer that assumes one size shows; the larger ones are for layers
# that split their batch into parts which the smaller ones cannot fill
SIZES = ((8, 12), (16, 32), (64, 128), (100, 200))
TRAINING_CALLS = 8
SINGLES = 8

# the value of every variable by name
State = Mapping[str, np.ndarray]


class Specimen:
    """One layer, trained on synthetic batches, and experiments with it, which may be made in any order.

    Batches and outputs are [batch, *positions, channels] float32.

    Args:
        factory: makes the layer, a class or a function; it is given those of `name`, `decay` and `epsilon` that it
            takes.
        positions: the axes between batch and channels in the shape of the inputs; empty for a dense layer, (height,
            width) for a convolution.
        updates: how the updates of a custom layer are run, see `layer_maker`.
        sizes: the numbers of examples in the training batches, by turns.

    Attributes:
        names: the names of the variables that hold the moving mean and the moving variance; empty if there are none.
        training: the batch of each training call.
        outputs: the output of each training call.
        states: the values of all variables before the first and after each training call.
        series: the moving mean and the moving variance in `states`, [calls + 1, channels] float64 each; [calls + 1, 0]
            if there are none.
        takes: those of `"decay"` and `"epsilon"` that reach the layer, as DECAY and EPSILON.
        activation: what the layer applies behind its normalisation; `undone` holds `outputs` without it.
        undone: what the activation was applied to in each training call, float64; NaN where it cannot be known.
        untrained: the inference output, before training, for the larger batch of `co_batched`.

    Example:
        >>> specimen = Specimen(always_batch.BatchNorm, positions=())
        >>> specimen.gradient(EPSILON), specimen.monitoring()
        ('batch', 0.0)
    """

    def __init__(
        self,
        factory: Callable[..., Any],
        *,
        positions: tuple[int, ...],
        updates: str = "auto",
        sizes: tuple[int, int] = SIZES[0],
    ) -> None:
        rng = np.random.default_rng(2015)
        self.training = [_draw(rng, sizes[call % 2], positions) for call in range(TRAINING_CALLS)]
        self._held_out, self._others = _draw(rng, sizes[0], positions), _draw(rng, sizes[0], positions)
        self._singles = [_draw(rng, 1, positions) for _ in range(SINGLES)]
        self._others[0] = self._singles[0][0]

        self._weights = np.random.default_rng(1).normal(size=self.training[0].shape).astype(np.float32)
        self._pulled: tf.Tensor | None = None

        def build() -> Graph:
            graph = lone_graph(factory, (*positions, CHANNELS), decay=DECAY, epsilon=EPSILON, updates=updates)
            # now, since gradients cannot be added to a tf.cond that a session has already run
            loss = tf.reduce_sum(self._weights * graph.batch_mode.outputs["outputs"])
            self._pulled = tf.gradients(loss, graph.batch_mode.feeds[0])[0]
            return graph

        self._engine = SessionEngine(build, device="/CPU:0")
        self._graph = self._engine.graph
        layer, self.names = self._graph.layers[LAYER], list[str]()
        self.takes = taken_by(layer)
        if keeps_statistics(layer):
            self.names = [self._engine.name_of(variable) for variable in (layer.moving_mean, layer.moving_variance)]
        initial = self._engine.state()
        self._unusual = _unusual_affine(initial, map(self._engine.name_of, _trainable(self._graph)), self.names)
        if not np.any(self._run(self._graph.batch_mode, self.training[0])):  # gamma is 0, as in some residual networks
            initial = {**initial, **self._unusual}
        self._engine.assign(initial)
        self.untrained = self._run(self._graph.inference, self._others)
        self._engine.assign(initial)

        self.states, self.outputs = [initial], list[np.ndarray]()
        for batch in self.training:
            self.outputs.append(self._run(self._graph.train, batch))
            self.states.append(self._engine.state())
        mean, variance = ([_flat(state, name) for state in self.states] for name in self.names or ("", ""))
        self.series = np.array(mean), np.array(variance)
        self.activation, self.undone = NONE, [NONE.undo(output) for output in self.outputs]

    def find_epsilon_and_activation(self) -> float:
        """Finds the epsilon of a layer that takes none, and the activation behind the normalisation.

        Returns:
            The epsilon with which training calls are explained as they are or behind `activation`; EPSILON if nothing
            explains them.
        """
        plain = np.concatenate([output.ravel() for output in self.outputs])
        for activation in (NONE, *(one for one in ACTIVATIONS if could_be(one, plain))):
            undone = [activation.undo(output) for output in self.outputs]
            own = acting_epsilon(self.training, undone, EPSILON)
            for epsilon in (EPSILON,) if "epsilon" in self.takes else (own, *USUAL_EPSILONS):
                uses = training_uses(self.training, undone, *self.series, epsilon)
                # renormalisation may look like anything behind an activation
                if uses != "unknown" and (activation is NONE or uses != "renorm"):
                    self.activation, self.undone = activation, undone
                    return float(epsilon)
        return EPSILON

    def monitoring(self) -> float:
        """Returns the largest change of a moving statistic when held-out data is run as the layer's users run it."""
        self._engine.assign(self.states[-1])
        self._run(self._graph.monitor, self._held_out)
        return self.moved(self.states[-1], self._engine.state())

    def co_batched(self) -> tuple[np.ndarray, np.ndarray, list[State]]:
        """Runs inference on single examples, one after another, and then on a batch that begins with the first of them.

        Returns:
            The output for the first example alone, [*positions, channels] float32; the output for the batch, [batch,
            *positions, channels] float32; and the values of all variables before the first and after each single
            example.
        """
        self._engine.assign(self.states[-1])
        alone: list[np.ndarray] = []
        seen: list[State] = [self.states[-1]]
        for single in self._singles:
            alone.append(self._run(self._graph.inference, single))
            seen.append(self._engine.state())
        self._engine.assign(self.states[-1])
        together = self._run(self._graph.inference, self._others)
        return alone[0][0], together, seen

    def constant(self) -> float:
        """Returns the largest absolute training output for a batch of equal rows, the last channel left out."""
        self._engine.assign(self.states[-1])
        outputs = self._run(self._graph.train, np.full_like(self.training[0], CONSTANT))
        return float(np.abs(outputs[..., :-1]).max())  # with a moving mean of 300, rounding errors are large

    def inference(self, uses_in_training: str, epsilon: float, decay: float) -> tuple[str, bool]:
        """Finds out what inference normalises with, and whether its gamma and beta are those of training.

        All trainable variables of [channels] first get values other than their initial ones. Each inference call on a
        single example then starts from other moving statistics.

        Args:
            uses_in_training: what training normalises with, as `training_uses` names it.
            epsilon: added by the layer to a variance before its square root.
            decay: the decay with which training moves the statistics.

        Returns:
            `"moving"`, `"moving_debiased"`, `"batch"` or `"unknown"`; and whether gamma and beta agree, which is True
            if those of training or of inference could not be found.
        """
        rng = np.random.default_rng(2017)
        base = {**self.states[-1], **self._unusual}
        self._engine.assign(base)
        first = self.training[0]
        undo = self.activation.undo
        in_training = affine_of(uses_in_training, first, undo(self._run(self._graph.train, first)), epsilon)

        met, left, answers = list[list[np.ndarray]](), list[list[np.ndarray]](), list[np.ndarray]()
        for single in self._singles:
            drawn = rng.normal(OFFSETS, 1.0), rng.uniform(0.05, 4.0, CHANNELS)
            values = {name: _like(base[name], value) for name, value in zip(self.names, drawn, strict=False)}
            self._engine.assign({**base, **values})
            answers.append(undo(self._run(self._graph.inference, single)))
            state = self._engine.state()
            met.append([_flat(values, name) for name in self.names])
            left.append([_flat(state, name) for name in self.names])
        # a batch's own moments first: a layer that writes them into its statistics reads the same there
        self._engine.assign(base)
        together = undo(self._run(self._graph.inference, self._others))
        batches = [*self._singles, self._others]
        affine = fit([*answers, together], (with_own_moments(batch, epsilon) for batch in batches))
        uses = "unknown" if affine is None else "batch"
        if affine is None and self.names:
            debias = 1 - decay**TRAINING_CALLS
            uses, affine = inference_uses(self._singles, answers, met, left, epsilon, debias, in_training)
        return uses, in_training is None or affine is None or affine.agrees(in_training)

    def gradient(self, epsilon: float) -> str:
        """Names what the gradient of the training output takes into account.

        Args:
            epsilon: added by the layer to a variance before its square root.

        Returns:
            `"batch"`, `"constants"`, `"nothing"` or `"unknown"`, see `gradient_uses`.
        """
        if self._pulled is None:
            return "nothing"
        batch, mode = self.training[0], self._graph.batch_mode
        self._engine.assign({**self.states[0], **self._unusual})
        program = self._engine.program(replace(mode, outputs={**mode.outputs, "gradient": self._pulled}))
        found = program([batch], np.arange(len(batch), dtype=np.int32)[None])
        outputs = found["outputs"][0]
        affine = affine_of("batch", batch, self.activation.undo(outputs), epsilon)
        gamma = np.nan_to_num(affine.gamma, nan=1.0) if affine else np.ones(CHANNELS)
        weights = self._weights * self.activation.slope(outputs.astype(np.float64))
        return gradient_uses(batch, weights, found["gradient"][0], epsilon, gamma)

    def elsewhere(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Finds variables other than the layer's statistics that training fills with averages or copies of moments.

        Returns:
            The names of the variables that hold averages, and of those that hold the last batch's moments.
        """
        values = [np.array([moment(batch) for batch in self.training]) for moment in (batch_mean, batch_variance)]
        values.append(np.array([batch_variance(batch, 1) for batch in self.training]))
        averaged, copied = list[str](), list[str]()
        for name, value in self.states[0].items():
            if name in self.names or value.size != CHANNELS:
                continue
            series = np.array([_flat(state, name) for state in self.states])
            kinds = {recurrence(series, value, DECAY).name for value in values} - {"unknown", "never"}
            if kinds:
                (copied if kinds == {"copy"} else averaged).append(name)
        return tuple(averaged), tuple(copied)

    def other_state(self) -> tuple[str, ...]:
        """Returns the names of the variables that training changed, and no optimizer, and that suit no channels."""
        trained = {self._engine.name_of(variable) for variable in _trainable(self._graph)}
        first, last = self.states[0], self.states[-1]
        changed = [name for name in first if name not in trained and not np.array_equal(first[name], last[name])]
        return tuple(name for name in changed if first[name].size > 1 and first[name].size % CHANNELS)

    def moved(self, before: State, after: State) -> float:
        """Returns the largest absolute change of a moving statistic between two states; 0 if the layer keeps none."""
        return max((float(np.abs(after[name] - before[name]).max()) for name in self.names), default=0.0)

    def variance_kept(self, before: State, after: State) -> float:
        """Returns the factor between the moving variances of two states; NaN if the channels' factors differ.

        The layer must keep statistics.

        Args:
            before: the values of all variables at first.
            after: the values of all variables later.
        """
        with np.errstate(all="ignore"):
            kept = np.divide(*(_flat(state, self.names[1]) for state in (after, before)))
        return float(kept[0]) if np.ptp(kept) < TOLERANCE else float("nan")

    def _run(self, subgraph: Subgraph, batch: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = run_calls(self._engine, subgraph, batch[None])["outputs"][0]
        return outputs


def _draw(rng: np.random.Generator, size: int, positions: tuple[int, ...]) -> np.ndarray:
    """Draws a batch with means and standard deviations that are drawn for it."""
    offsets, spreads = rng.normal(OFFSETS, 1.0), rng.uniform(NARROWEST, WIDEST)
    return rng.normal(offsets, spreads, [size, *positions, CHANNELS]).astype(np.float32)


def _trainable(graph: Graph) -> list[tf.Variable]:
    variables: list[tf.Variable] = graph.train.feeds[0].graph.get_collection(tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES)
    return variables


def _unusual_affine(state: State, trainable: Iterable[str], moving: Sequence[str]) -> dict[str, np.ndarray]:
    """Draws values that are no usual initial values, for the variables that may be a gamma or a beta."""
    rng = np.random.default_rng(2016)
    wanted = [name for name in trainable if state[name].size == CHANNELS and name not in moving]
    return {name: _like(state[name], rng.uniform(0.5, 1.5, CHANNELS)) for name in wanted}


def _like(variable: np.ndarray, value: np.ndarray) -> np.ndarray:
    return value.reshape(variable.shape).astype(variable.dtype)


def _flat(state: State, name: str) -> np.ndarray:
    """Returns a variable of a state as [channels] float64; [0] if there is none of that name."""
    return np.asarray(state.get(name, ()), np.float64).ravel()
