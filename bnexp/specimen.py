"""One layer in a graph of its own, made to show what it does.

It is driven as its users would (its own train op, its own flag) with batches whose means, spreads and sizes differ from
call to call, so that no two recurrences and no two ways to normalise agree on them. At inference each call meets other
moving statistics: only so is seen whether, and how, they are used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bnexp.graph import Graph, Pruning, keeps_statistics
from bnexp.normalisation import affine_of, fit, gradient_uses, inference_uses, with_own_moments
from bnexp.probe import LAYER, lone_graph, lone_layer, run_calls
from bnexp.recurrence import TOLERANCE, recurrence
from bnexp.reference import batch_mean, batch_variance

# far from any decay's swap, square or complement: .9, .1, .81 and .19 are all different
DECAY = 0.9

# large, so that an epsilon in the wrong place shows
EPSILON = 0.1

# of the channels: one narrow, so that a floor under the variance shows, two moderate, and one whose mean is hundreds of
# standard deviations, so that E[x**2] - E[x]**2 shows
OFFSETS, NARROWEST, WIDEST = (-12.0, 0.5, 6.0, 300.0), (0.05, 0.5, 0.5, 0.5), (0.2, 2.0, 2.0, 2.0)
CHANNELS = len(OFFSETS)

# two sizes of batch, so that a layer that takes one for granted shows
TRAINING_BATCHES = (8, 12) * 4
SINGLES = 8

# every variable by name, in its own shape and dtype
State = Mapping[str, np.ndarray]


class Specimen:
    """One layer, trained on batches of its own, and what can be asked of it afterwards, in any order.

    Batches and outputs are float32 [batch, *positions, channels].

    Args:
        factory: makes the layer; takes `name`, `decay` and `epsilon`, or those of them that it knows.
        positions: between batch and channels in the shape of the inputs; none of a dense layer's.

    Attributes:
        names: of the variables that hold the moving mean and variance; none where the layer keeps none.
        training: the batches.
        outputs: what each training call returned.
        states: every variable before the first and after each training call.
        series: moving mean and variance in `states`, float64 [calls + 1, channels] each, or [calls + 1, 0] of none.
        untrained: what inference said, before training, of the crowd that `company` asks about after it.
    """

    def __init__(self, factory: Callable[..., Any], *, positions: tuple[int, ...]) -> None:
        rng = np.random.default_rng(2015)
        self.training = [_draw(rng, size, positions) for size in TRAINING_BATCHES]
        self._held_out, self._crowd = _draw(rng, 8, positions), _draw(rng, 8, positions)
        self._singles = [_draw(rng, 1, positions) for _ in range(SINGLES)]
        self._crowd[0] = self._singles[0][0]

        self._factory, shape = factory, (*positions, CHANNELS)
        self._engine = lone_layer(factory, shape, engine="session", decay=DECAY, epsilon=EPSILON)
        self._graph = self._engine.graph
        layer, self.names = self._graph.layers[LAYER], list[str]()
        if keeps_statistics(layer):
            self.names = [self._engine.name_of(variable) for variable in (layer.moving_mean, layer.moving_variance)]
        initial = self._engine.state()
        self._strange = _strange(initial, map(self._engine.name_of, _trainable(self._graph)), self.names)
        if not np.any(self._run(self._graph.batch_mode, self.training[0])):  # gamma from 0, as residual networks may
            initial = {**initial, **self._strange}
        self._engine.assign(initial)
        self.untrained = self._run(self._graph.inference, self._crowd)
        self._engine.assign(initial)

        self.states, self.outputs = [initial], list[np.ndarray]()
        for batch in self.training:
            self.outputs.append(self._run(self._graph.train, batch))
            self.states.append(self._engine.state())
        mean, variance = ([_flat(state, name) for state in self.states] for name in self.names or ("", ""))
        self.series = np.array(mean), np.array(variance)

    def monitoring(self) -> float:
        """Returns how far watching held-out data moves a statistic."""
        self._engine.assign(self.states[-1])
        self._run(self._graph.monitor, self._held_out)
        return self.moved(self.states[-1], self._engine.state())

    def company(self) -> tuple[np.ndarray, np.ndarray, list[State]]:
        """Asks about single examples one after another, then about the first of them in company.

        Returns:
            What inference said of the first example alone, float32 [*positions, channels]; what it said of the crowd
            that it comes first in, float32 [batch, *positions, channels]; and every variable before the first and after
            each single example.
        """
        self._engine.assign(self.states[-1])
        alone: list[np.ndarray] = []
        seen: list[State] = [self.states[-1]]
        for single in self._singles:
            alone.append(self._run(self._graph.inference, single))
            seen.append(self._engine.state())
        self._engine.assign(self.states[-1])
        together = self._run(self._graph.inference, self._crowd)
        return alone[0][0], together, seen

    def constant(self) -> float:
        """Returns the largest training output for a batch of equal rows."""
        self._engine.assign(self.states[-1])
        outputs = self._run(self._graph.train, np.full_like(self.training[0], 5.0))
        return float(np.abs(outputs[..., :-1]).max())  # beside a moving mean of 300, rounding is no small thing

    def inference(self, uses_in_training: str, epsilon: float) -> tuple[str, bool]:
        """Finds out what inference normalises with, and whether gamma and beta are those of training.

        Every trainable variable of a channel's shape gets values of its own first; each single example then meets other
        moving statistics.

        Args:
            uses_in_training: what training normalises with, as `training_uses` names it.
            epsilon: of the layer.

        Returns:
            `"moving"`, `"moving_debiased"`, `"batch"` or `"unknown"`; and whether gamma and beta agree, true also where
            one side's could not be found.
        """
        rng = np.random.default_rng(2017)
        base = {**self.states[-1], **self._strange}
        self._engine.assign(base)
        first = self.training[0]
        in_training = affine_of(uses_in_training, first, self._run(self._graph.train, first), epsilon)

        met, left, answers = list[list[np.ndarray]](), list[list[np.ndarray]](), list[np.ndarray]()
        for single in self._singles:
            drawn = rng.normal(OFFSETS, 1.0), rng.uniform(0.05, 4.0, CHANNELS)
            values = {name: _like(base[name], value) for name, value in zip(self.names, drawn, strict=False)}
            self._engine.assign({**base, **values})
            answers.append(self._run(self._graph.inference, single))
            state = self._engine.state()
            met.append([_flat(values, name) for name in self.names])
            left.append([_flat(state, name) for name in self.names])
        uses, affine = "unknown", None
        if self.names:
            debias = 1 - DECAY ** len(TRAINING_BATCHES)
            uses, affine = inference_uses(self._singles, answers, met, left, epsilon, debias, in_training)
        if affine is None:
            self._engine.assign(base)
            answers.append(self._run(self._graph.inference, self._crowd))
            affine = fit(answers, (with_own_moments(batch, epsilon) for batch in [*self._singles, self._crowd]))
            uses = "unknown" if affine is None else "batch"
        return uses, in_training is None or affine is None or affine.agrees(in_training)

    def gradient(self, epsilon: float) -> str:
        """Looks at what the gradient of the training output takes into account.

        Args:
            epsilon: of the layer.

        Returns:
            `"batch"`, `"constants"`, `"nothing"` or `"unknown"`.
        """
        batch = self.training[0]
        weights = np.random.default_rng(1).normal(size=batch.shape).astype(np.float32)
        # in a graph of its own: a session does not take to gradients of a tf.cond that it has already run
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            graph = lone_graph(self._factory, batch.shape[1:], decay=DECAY, epsilon=EPSILON)
            (inputs,), outputs = graph.batch_mode.feeds, graph.batch_mode.outputs["outputs"]
            pulled = tf.gradients(tf.reduce_sum(weights * outputs), inputs)[0]
            if pulled is None:
                return "nothing"
            session.run(tf.compat.v1.global_variables_initializer())
            for variable in _trainable(graph):
                strange = self._strange.get(variable.name.removesuffix(":0"))
                if strange is not None:
                    # an initializer's second input is the value it assigns, and any tensor may be fed
                    session.run(variable.initializer, {variable.initializer.inputs[1]: strange})
            fed = {inputs: batch, **dict(graph.batch_mode.constants)}
            found, gradient = session.run([outputs, pulled], fed)
        affine = affine_of("batch", batch, found, epsilon)
        return gradient_uses(batch, weights, gradient, epsilon, affine.gamma if affine else np.ones(CHANNELS))

    def elsewhere(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Finds variables that inference does not read and that training fills with averages or copies of moments.

        Returns:
            The names of those that hold averages, and of those that hold the last batch's moments.
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

    def moved(self, before: State, after: State) -> float:
        """Returns the largest change of a moving statistic between two states; 0 where the layer keeps none."""
        return max((float(np.abs(after[name] - before[name]).max()) for name in self.names), default=0.0)

    def variance_kept(self, before: State, after: State) -> float:
        """Returns what every channel's moving variance was multiplied by; NaN where there is no one factor.

        The layer must keep statistics.
        """
        kept = np.divide(*(_flat(state, self.names[1]) for state in (after, before)))
        return float(kept[0]) if np.ptp(kept) < TOLERANCE else float("nan")

    def _run(self, pruning: Pruning, batch: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = run_calls(self._engine, pruning, batch[None])["outputs"][0]
        return outputs


def _draw(rng: np.random.Generator, size: int, positions: tuple[int, ...]) -> np.ndarray:
    """Draws a batch whose means and spreads are its own."""
    offsets, spreads = rng.normal(OFFSETS, 1.0), rng.uniform(NARROWEST, WIDEST)
    return rng.normal(offsets, spreads, [size, *positions, CHANNELS]).astype(np.float32)


def _trainable(graph: Graph) -> list[tf.Variable]:
    variables: list[tf.Variable] = graph.train.feeds[0].graph.get_collection(tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES)
    return variables


def _strange(state: State, trainable: Iterable[str], moving: Sequence[str]) -> dict[str, np.ndarray]:
    """Draws values that nobody starts with for what may be a gamma or a beta."""
    rng = np.random.default_rng(2016)
    wanted = [name for name in trainable if state[name].size == CHANNELS and name not in moving]
    return {name: _like(state[name], rng.uniform(0.5, 1.5, CHANNELS)) for name in wanted}


def _like(variable: np.ndarray, value: np.ndarray) -> np.ndarray:
    return value.reshape(variable.shape).astype(variable.dtype)


def _flat(state: State, name: str) -> np.ndarray:
    """Returns a variable as [channels] float64; none of that name has no channels."""
    return np.asarray(state.get(name, ()), np.float64).ravel()
