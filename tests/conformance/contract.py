"""What every batch-norm layer is held to: its own traits, checked from the first step. It rejects the mutants, too.

The inputs are chosen to tell mistakes apart: small batches, off-centre, spreads from .05 to 3, one channel whose mean
is a hundred standard deviations; decay and epsilon are nobody's default; gamma and beta differ from channel to channel.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import reference
import tensorflow as tf

from bnexp.engine.engines import ENGINES
from bnexp.engine.single_layer import LAYER
from bnexp.graph import Graph, Of, OutputName, Subgraph
from bnexp.graph.ancestry import ancestor_types, ancestors, bodies_write, handles, is_write
from bnexp.graph.build import build_graph
from bnexp.graph.layer import layer_maker

v1 = tf.compat.v1

# .8, its complement .2 and its square .64 are far apart, and no layer has them by default
DECAY, EPSILON = 0.8, 0.02

MEANS = np.array([-2.0, 0.5, 300.0, 0.0, 40.0, -7.0])
SPREADS = np.array([0.05, 1.0, 3.0, 2.0, 0.5, 0.3])
GAMMA = np.float32([0.5, 1.5, 2.0, -1.0, 0.75, 1.25])
BETA = np.float32([0.25, -1.0, 3.0, 0.5, -2.0, 1.0])
CHANNELS = len(MEANS)
STEPS, SINGLES = 6, 4

# a batch of 6 in 4 ghost parts splits unevenly; 4 images of 3 x 2 have positions to average over
SHAPES = {2: (6,), 4: (4, 3, 2)}

# Tolerances in units of float32's spacing. A layer computes x / stddev - mean / stddev or thereabouts: a few roundings,
# each of half a spacing of the largest number met, which `Call.reach` is. Eight of them are allowed. A mean is a sum
# of up to 24 numbers and then six averaging steps: 16 spacings of the largest input. A two-pass variance loses nothing
# to the mean (E[x**2] - E[x]**2 would lose 10**4 spacings at a hundred standard deviations): 16 of itself.
SPACING = float(np.finfo(np.float32).eps)
OUTPUT, STATISTIC = 8 * SPACING, 16 * SPACING


@dataclass(frozen=True)
class Calls:
    """Some calls in a row, and what was seen of them; the first axis is the call."""

    batches: np.ndarray
    outputs: np.ndarray
    means: np.ndarray
    variances: np.ndarray


@dataclass(frozen=True)
class Seen:
    """What a layer did: trained, then was asked about single examples in order, backwards, and all at once.

    `gradient` is that of `pull`'s weighted outputs, before training; `made_of` are the types of all ops that a training
    step runs.
    """

    initial: dict[str, np.ndarray]
    initial_moving: list[np.ndarray]
    training: Calls
    inference: Calls
    backwards: Calls
    together: Calls
    gradient: np.ndarray
    made_of: set[str]
    towers: int
    moved_by_output: float
    moved_by_monitoring: float


class Broken(AssertionError):
    """A layer that is not what its traits say.

    Attributes:
        failed: the message of each check that failed, by the check's name.
    """

    def __init__(self, name: str, failed: dict[str, str]) -> None:
        super().__init__("\n".join([f"{name} is not what it claims:", *(f"  {k}: {m}" for k, m in failed.items())]))
        self.failed = failed

    @property
    def caught_by(self) -> str:
        """The name of the first check that failed."""
        return next(iter(self.failed))


def hold(factory: Callable[..., Any], *, rank: int, engine: str) -> Seen:
    """Holds the layer that `factory` makes to its traits.

    Args:
        factory: a class, or a partial of one, as `bnexp.graph.layer.variant_factory` returns it; has `traits`.
        rank: 2 or 4.
        engine: "compiled" or "session"; what is a property of the graph alone is checked with "session".

    Returns:
        What the layer did.

    Raises:
        Broken: it is not what it claims.
    """
    layer, options = (factory.func, factory.keywords) if isinstance(factory, partial) else (factory, {})
    traits = layer.traits
    expected = partial(reference.Layer, traits, decay=DECAY, epsilon=EPSILON, options=options)
    try:
        graph, seen = watch(layer, options, rank=rank, engine=engine)
    except (TypeError, ValueError, AttributeError, tf.errors.OpError) as error:
        raise Broken(layer.__name__, {"builds": f"{type(error).__name__}: {error}"}) from error
    failed: dict[str, str] = {}

    def check(name: str, rule: Callable[..., None], *arguments: Any) -> None:
        try:
            rule(*arguments)
        except AssertionError as error:
            failed[name] = str(error)

    # what is cheap to say first, and what names the cause before what shows its effects
    check("interface", check_interface, seen, traits)
    check("initial", check_initial, seen, traits)
    check("trainable", check_not_trainable, graph)
    check("train op", check_train_op, graph)
    if engine == "session":
        check("order", check_order, graph, traits, rank)
    check("gradient", check_gradient, seen, expected, rank)
    check("attachment", check_attachment, seen, traits)
    check("monitoring", check_monitoring, seen, traits)
    model = expected(channels=CHANNELS, gamma=GAMMA, beta=BETA)
    for when in ("training", "inference", "backwards", "together"):
        calls = follow(model, getattr(seen, when), model.train if when == "training" else model.infer)
        for what in ("outputs", "mean", "variance"):
            check(f"{when} {what}", check_calls, calls, what)
    check("idempotence", check_idempotence, seen, traits)
    if engine == "session" and rank == 2 and not failed:  # a layer that is broken alone tells nothing new in a pair
        check("two layers", check_two_layers, factory, expected)
    if failed:
        raise Broken(layer.__name__, failed)
    return seen


def told(name: OutputName) -> bool:
    """Tells whether an output is looked at: what the layer returns, and its moving statistics."""
    return name == "outputs" or (isinstance(name, Of) and name.output.startswith("moving_"))


def draw(calls: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Returns float32 inputs [calls, *shape, channels]."""
    return np.float32(np.random.default_rng(seed).normal(MEANS, SPREADS, [calls, *shape, CHANNELS]))


def pull(rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns a batch, and the weights of the layer's outputs whose sum's gradient is looked at."""
    # mild inputs: TensorFlow's own gradient of a mean of a hundred standard deviations has three digits left
    random = np.random.default_rng(4)
    batch = np.float32(random.normal(0.5, [0.3, 1, 2, 0.5, 3, 1], [*SHAPES[rank], CHANNELS]))
    return batch, np.float32(random.normal(size=batch.shape))


def watch(layer: type, options: dict[str, Any], *, rank: int, engine: str) -> tuple[Graph, Seen]:
    """Runs a layer, in a graph that is built once, through all that `hold` compares."""
    shape = SHAPES[rank]
    towers: list[Any] = []
    pulled, weights = pull(rank)
    gradients: list[tf.Tensor] = []

    class Counted(layer):  # type: ignore[misc,valid-type]
        def __call__(self, inputs: tf.Tensor, training: Any) -> tf.Tensor:
            towers.append(training)
            return super().__call__(inputs, training)

    def build() -> Graph:
        graph = in_graph(partial(Counted, **options), lone, (*shape[1:], CHANNELS))
        (inputs,), outputs = graph.batch_mode.feeds, graph.batch_mode.outputs["outputs"]
        # now: a session does not take to gradients of a tf.cond that it has already run
        gradients.extend(tf.gradients(tf.reduce_sum(weights * outputs), inputs))
        return graph

    built = ENGINES[engine](build, device="/CPU:0")
    graph = built.graph
    training, singles, held_out = draw(STEPS, shape, 1), draw(SINGLES, (1, *shape[1:]), 2), draw(1, shape, 3)
    examples = np.concatenate([batch for batches in (training, singles, held_out) for batch in batches])
    rows = np.arange(len(examples), dtype=np.int32)
    cuts = [STEPS * shape[0], STEPS * shape[0] + SINGLES]
    in_training, alone, watched = (part.astype(np.int32) for part in np.split(rows, cuts))
    arrays = [examples, np.zeros(len(examples), np.int32)]

    def program(subgraph: Subgraph, calls: int | None) -> Callable[[np.ndarray], Calls]:
        run = built.program(subgraph.only(filter(told, subgraph.outputs)), calls=calls)

        def call(called: np.ndarray) -> Calls:
            out = run(arrays[: len(subgraph.feeds)], called)
            none = np.zeros([len(called), 0], np.float32)
            means, variances = (out.get(Of(LAYER, f"moving_{s}"), none) for s in ("mean", "variance"))
            return Calls(examples[called], out["outputs"], means, variances)

        return call

    def moving() -> list[np.ndarray]:
        variables = [getattr(graph.layers[LAYER], s, None) for s in ("moving_mean", "moving_variance")]
        state = built.state()
        return [state[built.name_of(variable)] for variable in variables if variable is not None]

    def moved_by(subgraph: Subgraph) -> float:
        before, state = moving(), built.state()
        program(subgraph, None)(watched[None])
        changes = [np.abs(new - old).max() for new, old in zip(moving(), before, strict=True)]
        built.assign(state)
        return float(max(changes, default=0.0))

    initial, initial_moving = built.state(), moving()
    to_inputs = built.program(replace(graph.batch_mode, outputs={"gradient": gradients[0]}))
    gradient = to_inputs([pulled], np.arange(len(pulled), dtype=np.int32)[None])["gradient"][0]
    built.assign(initial)
    for name in initial:
        for word, value in (("gamma", GAMMA), ("beta", BETA)):
            if name.rsplit("/", 1)[-1].startswith(word):  # gamma_1 is the second one of a layer that makes two
                built.assign({name: value})
    infer = program(graph.inference, SINGLES)
    return graph, Seen(
        initial=initial,
        initial_moving=initial_moving,
        training=program(graph.train, STEPS)(in_training.reshape(STEPS, -1)),
        inference=infer(alone[:, None]),
        backwards=infer(alone[::-1, None]),
        together=program(graph.inference, None)(alone[None]),
        moved_by_output=moved_by(graph.batch_mode),
        moved_by_monitoring=moved_by(graph.monitor),
        gradient=gradient,
        made_of=ancestor_types(graph.train.outputs.values()),
        towers=len(towers),
    )


def follow(
    model: reference.Layer, seen: Calls, call: Callable[[np.ndarray], reference.Call]
) -> list[tuple[reference.Call, Calls]]:
    """Pairs what the reference allows in each call with what was seen in it; moves the reference on."""
    pairs = []
    for batch, outputs, mean, variance in zip(seen.batches, seen.outputs, seen.means, seen.variances, strict=True):
        allowed = call(batch)
        pairs.append((allowed, Calls(batch, outputs, mean, variance)))
        if len(allowed.means) > 1 and mean.shape == allowed.means[0].shape:
            model.settle(mean, variance)
    return pairs


def check_calls(pairs: list[tuple[reference.Call, Calls]], what: str) -> None:
    """Compares outputs, mean or variance call by call, and names the first call that differs."""
    for number, (allowed, seen) in enumerate(pairs, 1):
        if what == "outputs":
            found, choices, tolerance = seen.outputs, allowed.outputs, OUTPUT * (1 + allowed.reach)
        elif what == "mean":
            largest = np.abs(seen.batches).max(tuple(range(seen.batches.ndim - 1)))
            found, choices, tolerance = seen.means, allowed.means, STATISTIC * (1 + largest[: seen.means.shape[-1]])
        else:
            found, choices = seen.variances, allowed.variances
            tolerance = STATISTIC * (1 + np.abs(found))
        assert found.shape == choices[0].shape, f"call {number}: shape {found.shape} instead of {choices[0].shape}"
        excesses = [np.abs(found - choice) / tolerance for choice in choices]
        best = min(excesses, key=lambda excess: excess.max(initial=0.0))
        worst = np.unravel_index(best.argmax(), best.shape) if best.size else ()
        assert np.all(best <= 1), (
            f"call {number} differs first, at {tuple(map(int, worst))}: {found[worst]:.7g} instead of "
            f"{' or '.join(f'{choice[worst]:.7g}' for choice in choices)}"
        )


def check_interface(seen: Seen, traits: Any) -> None:
    """float32 in, float32 out, in shape; one tower where the flag is a tensor, else two, however often it is called."""
    for calls in (seen.training, seen.inference, seen.backwards, seen.together):
        for array in (calls.outputs, calls.means, calls.variances):
            assert array.dtype == np.float32, f"{array.dtype} instead of float32"
        assert calls.outputs.shape == calls.batches.shape
    expected = {"tensor": 1, "python": 2}[traits.flag]
    assert seen.towers == expected, f"was called {seen.towers} times to build its graph instead of {expected}"


def check_initial(seen: Seen, traits: Any) -> None:
    """The start: the moving statistics that are claimed, and gamma 1 and beta 0."""
    claimed = [] if traits.moving == "none" else [traits.initial_mean, traits.initial_variance]
    assert len(seen.initial_moving) == len(claimed), f"{len(seen.initial_moving)} statistics instead of {len(claimed)}"
    for value, start in zip(seen.initial_moving, claimed, strict=True):
        assert np.all(value == np.float32(start)), f"starts at {value} instead of {start}"
    for word, start in (("gamma", 1), ("beta", 0)):
        found = [value for name, value in seen.initial.items() if name.rsplit("/", 1)[-1].startswith(word)]
        assert bool(found) == (traits.training_uses != "nothing"), f"{len(found)} variables called {word}"
        assert all(np.all(value == start) for value in found), f"{word} starts at {found[0]}"


def check_idempotence(seen: Seen, traits: Any) -> None:
    """Asking again, in another order or in company, changes nothing unless the traits say so."""
    if traits.inference_updates:
        return
    for calls in (seen.inference, seen.backwards, seen.together):
        for after, trained in ((calls.means, seen.training.means), (calls.variances, seen.training.variances)):
            assert np.array_equal(after, np.broadcast_to(trained[-1], after.shape)), "a statistic moved at inference"
    assert np.array_equal(seen.inference.outputs, seen.backwards.outputs[::-1]), "outputs depend on the order"
    if traits.inference_uses != "batch":
        alone, together = seen.inference.outputs[:, 0], seen.together.outputs[0]
        # the same float32 sum, perhaps in another order
        assert np.allclose(alone, together, rtol=1e-5, atol=1e-4), "outputs depend on the company"


def check_attachment(seen: Seen, traits: Any) -> None:
    """Only updates in place run with the training output alone; all others need the train op."""
    moves = traits.attachment == "in_place" and traits.moving not in ("never", "none")
    assert (seen.moved_by_output > 0) == moves, f"the training output alone moved a statistic by {seen.moved_by_output}"


def check_monitoring(seen: Seen, traits: Any) -> None:
    """Watching held-out data moves the statistics only where the traits say so, or inference does."""
    moves = traits.monitoring_updates or traits.inference_updates
    assert (seen.moved_by_monitoring > 0) == moves, f"monitoring moved a statistic by {seen.moved_by_monitoring}"


def in_graph(factory: Callable[..., Any], network: Callable[..., tf.Tensor], shape: tuple[int, ...]) -> Graph:
    """Builds `network` with the layer in the current tf.Graph, with a train op that takes steps of size 0."""

    def loss(outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        # with a variable of its own: `minimize` must have something to do under any layer
        return v1.get_variable("anchor", [], initializer=v1.ones_initializer()) * tf.reduce_sum(outputs)

    return build_graph(
        network,
        layer_maker(factory, decay=DECAY, epsilon=EPSILON),
        v1.train.GradientDescentOptimizer(0.0),
        example_shape=shape,
        num_classes=1,
        seed=0,
        loss_of=loss,
    )


def lone(inputs: tf.Tensor, *, batch_norm: Any, num_classes: int, seed: int) -> tf.Tensor:
    """A network that is one layer."""
    return batch_norm(inputs, LAYER)


def check_not_trainable(graph: Graph) -> None:
    """No optimizer may move a statistic."""
    moving = [getattr(graph.layers[LAYER], s, None) for s in ("moving_mean", "moving_variance")]
    trained = [variable.name for variable in moving if variable is not None and variable.trainable]
    assert not trained, f"an optimizer would train {' and '.join(trained)}"


def check_gradient(seen: Seen, expected: Callable[..., reference.Layer], rank: int) -> None:
    """The training output's gradient: through the batch's moments where the batch is used, not where it is not."""
    gradient = expected(channels=CHANNELS).input_gradient(*pull(rank))
    error, largest = np.abs(seen.gradient - gradient).max(), np.abs(gradient).max()
    assert error < 1e-4 * largest, f"off by {error:.2g} where the largest is {largest:.2g}"


def check_train_op(graph: Graph) -> None:
    """A training step moves every weight that the training output depends on, whatever else it runs."""
    tf_graph = graph.train.feeds[0].graph
    weights = handles(tf_graph, tf_graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES))
    steps = [op for op in ancestors(graph.train.outputs.values()) if op.type == "ResourceApplyGradientDescent"]
    moved = {op.inputs[0].op for op in steps}
    needed = weights.keys() & ancestors(graph.batch_mode.outputs.values())
    assert moved, "a training step trains nothing"
    assert needed <= moved, f"no training step moves {' and '.join(weights[op].name for op in needed - moved)}"


def check_order(graph: Graph, traits: Any, rank: int) -> None:
    """Where a layer claims order, no outcome hangs on which of two ops on a statistic, one a write, comes first."""
    batch = draw(1, SHAPES[rank], 6)[0]
    with graph.train.feeds[0].graph.as_default(), v1.Session() as session:
        loose = [
            f"{write.name} and {other.name} on {variable.name}"
            for subgraph in (graph.train, graph.inference)
            for variable, write, other in loose_pairs(subgraph)
            if matters(session, subgraph, batch, variable, write, other)
        ]
    assert not (traits.ordered and loose), f"nothing orders {'; '.join(loose)}"


def loose_pairs(subgraph: Subgraph) -> list[tuple[tf.Variable, tf.Operation, tf.Operation]]:
    """Finds the pairs of ops on one statistic, the first a write, of which neither waits for the other."""
    running = ancestors(subgraph.outputs.values())
    return [
        (variable, write, other)
        for variable in v1.global_variables()
        if not variable.trainable
        for write, other in permutations([op for op in variable.handle.consumers() if op in running], 2)
        if is_write(write.type) or bodies_write(write)
        if other not in ancestors([], ops=[write]) and write not in ancestors([], ops=[other])
    ]


def matters(session: Any, subgraph: Subgraph, batch: np.ndarray, variable: Any, write: Any, other: Any) -> bool:
    """Tells whether anything comes out differently when `other` meets another value of `variable`.

    A statistic that a training step reads only to let tf.where or tf.cond throw it away may be read at any time.
    """
    if is_write(other.type) or bodies_write(other):
        return True
    fed = dict(zip(subgraph.feeds, [batch, np.zeros(len(batch))], strict=False)) | dict(subgraph.constants)
    strange = np.full(variable.shape, 7.0, np.float32)
    seen = []
    for meets in (False, True):
        session.run(v1.global_variables_initializer())
        given = {other.outputs[0]: strange} if meets and other.type == "ReadVariableOp" else {}
        if meets and not given:  # a branch that reads for itself
            session.run(variable.initializer, {variable.initializer.inputs[1]: strange})
        names = [name for name in subgraph.outputs if told(name) and (name == "outputs" or given or not meets)]
        seen.append(session.run({name: subgraph.outputs[name] for name in names}, fed | given))
    return any(not np.array_equal(seen[0][name], value) for name, value in seen[1].items())


def check_two_layers(factory: Callable[..., Any], expected: Callable[..., reference.Layer]) -> None:
    """Two layers in a row keep their own statistics, and one train op moves both."""

    def two(inputs: tf.Tensor, *, batch_norm: Any, num_classes: int, seed: int) -> tf.Tensor:
        return batch_norm(3 * batch_norm(inputs, "first") + 1, "second")

    models = expected(channels=CHANNELS), expected(channels=CHANNELS)
    if not models[0].traits.ordered:
        return  # what the second gets to see is not decided
    batches = np.float32(np.random.default_rng(5).normal(0.5, [0.3, 1, 2, 0.5, 3, 1], [3, 6, CHANNELS]))
    with tf.Graph().as_default(), v1.Session() as session:
        graph = in_graph(factory, two, (CHANNELS,))
        names = list(filter(told, graph.train.outputs))
        session.run(v1.global_variables_initializer())
        for batch in batches:
            fed = dict(zip(graph.train.feeds, [batch, np.zeros(len(batch))], strict=True)) | dict(graph.train.constants)
            found = session.run({name: graph.train.outputs[name] for name in names}, fed)
            allowed = models[0].train(batch)
            after = models[1].train(3 * allowed.outputs[0] + 1)
            for layer, call in (("first", allowed), ("second", after)):
                for statistic, values in (("mean", call.means), ("variance", call.variances)):
                    value = found.get(Of(layer, f"moving_{statistic}"), np.zeros(0))
                    # two layers deep, three digits are enough to tell whose statistic it is
                    assert value.shape == values[0].shape
                    assert np.allclose(value, values[0], rtol=1e-3, atol=1e-3), f"{layer}/moving_{statistic}: {value}"
            assert np.allclose(found["outputs"], after.outputs[0], rtol=1e-3, atol=1e-3), "outputs"
