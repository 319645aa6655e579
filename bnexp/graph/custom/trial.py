"""Tries the ways to make and call a custom layer in a graph that is thrown away, and takes the first that works."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from bnexp.config.blame import blaming, line_of
from bnexp.errors import UserError
from bnexp.graph.ancestry import ancestors, handles
from bnexp.graph.custom.arguments import Place, name_of
from bnexp.graph.custom.flag import NO_FLAG, is_about_the_flag
from bnexp.graph.custom.layer import Birth, CustomLayer
from bnexp.graph.custom.seeds import seeded
from bnexp.graph.custom.statistics import MEANS, VARIANCES, by_name, by_use
from bnexp.graph.custom.way import Way
from bnexp.graph.custom.ways import ways

v1 = tf.compat.v1

# also where a user's code asks for a GPU by name
_ON_THE_CPU = v1.ConfigProto(allow_soft_placement=True, device_count={"GPU": 0})

# the sign of code that was written for TensorFlow 1's shapes, whose axes have a `value`
_WANTS_DIMENSIONS = "'int' object has no attribute 'value'"


@dataclass(frozen=True)
class Adaptation:
    """How a custom layer is made and called, and which of its variables are its statistics.

    Attributes:
        way: how it is made and called.
        statistics: its moving mean and moving variance; None for each that it does not keep.
    """

    way: Way
    statistics: tuple[Birth | None, Birth | None]


@dataclass(frozen=True)
class _Trial:
    adaptation: Adaptation
    heeds_flag: bool


def adapt(factory: Callable[..., Any], place: Place) -> Adaptation:
    """Finds out how a layer is made and called, and where its statistics are.

    Args:
        factory: the user's class or function, or a `functools.partial` of one.
        place: where the layer stands.

    Returns:
        The first way that works and in which the flag makes a difference; without one, the first that works.

    Raises:
        UserError: no way works; the message is that of the likeliest way.
    """
    errors: list[UserError] = []
    deaf: _Trial | None = None
    waiting = _listed(factory, place)
    while waiting:
        way = waiting.pop(0)
        try:
            found = _try(way, place)
        except UserError as error:
            if _WANTS_DIMENSIONS in str(error) and not way.dimensions:
                waiting.insert(0, replace(way, dimensions=True))
            else:
                errors.append(error)
            continue
        if found.heeds_flag:
            return found.adaptation
        deaf = deaf or found
    if deaf is None:
        raise _likeliest(errors, name_of(factory))
    return deaf.adaptation


def _likeliest(errors: Sequence[UserError], target: str) -> UserError:
    """Returns the error of the way that got furthest: not stopped by the flag, and then at the last line."""
    causes = [error.__cause__ or error for error in errors]
    telling = [i for i, cause in enumerate(causes) if not is_about_the_flag(cause)] or list(range(len(errors)))
    lines = {i: line_of(causes[i], target) for i in telling}
    first = lines[telling[0]]

    def reached(i: int) -> int:
        line = lines[i]
        return line.number if line and first and (line.file, line.function) == (first.file, first.function) else 0

    return errors[max(telling, key=reached)]


def _listed(factory: Callable[..., Any], place: Place) -> list[Way]:
    target = name_of(factory)
    what = f"variant._target_={target}"
    with tf.Graph().as_default(), seeded(place.seed), blaming(what, target, tried=f"name={place.name}"):
        return list(ways(factory, place))


def _try(way: Way, place: Place) -> _Trial:
    with tf.Graph().as_default() as graph:
        way = replace(way, scoped=way.takes("name"))
        layer = CustomLayer(way, place)
        inputs = v1.placeholder(tf.float32, place.shape)
        flag = v1.placeholder(tf.bool, [])
        outputs = layer(inputs, flag if layer.traits.flag == "tensor" else True)
        anchor = v1.get_variable("bnexp_anchor", [], initializer=v1.ones_initializer())
        loss = anchor * tf.reduce_mean(tf.stop_gradient(outputs))
        train = layer.train_op(v1.train.GradientDescentOptimizer(0.0), loss, [layer])
        inferred = outputs if layer.traits.flag == "tensor" else layer(inputs, False)
        heeds = way.flag is NO_FLAG or flag.op in ancestors([outputs], [train]) or _differ(outputs, inferred, inputs)
        own = [variable for call in sorted(layer.born) for variable in layer.born[call] if variable is not anchor]
        if way.scoped and not any(place.name in variable.name for variable in own):
            way = replace(way, scoped=False)
        mean, variance, by_use = _statistics(graph, own, place, inputs, inferred, flag, train)
        births: dict[Any, Birth] = {}
        for call in layer.born:
            made = layer.of_channels(call)
            births |= {v.ref(): Birth(call, i, len(made), place.name, v.name, by_use) for i, v in enumerate(made)}
        found = [births[variable.ref()] if variable is not None else None for variable in (mean, variance)]
    return _Trial(Adaptation(way, (found[0], found[1])), heeds)


def _differ(training: tf.Tensor, inference: tf.Tensor, inputs: tf.Tensor) -> bool:
    """Tells whether two towers are other graphs."""
    kinds = [sorted(op.type for op in ancestors([outputs], fed=[inputs])) for outputs in (training, inference)]
    return kinds[0] != kinds[1]


def _statistics(
    graph: tf.Graph,
    own: Sequence[tf.Variable],
    place: Place,
    inputs: tf.Tensor,
    inferred: tf.Tensor,
    flag: tf.Tensor,
    train: tf.Operation,
) -> tuple[tf.Variable | None, tf.Variable | None, bool]:
    """Returns the moving mean, the moving variance, and whether both were found by their use."""
    sized = [v for v in own if v.shape.num_elements() == place.channels and v.dtype.is_floating]
    running = ancestors([inferred])
    read_ops = {id(variable) for op, variable in handles(graph, sized).items() if op in running}
    read = [v for v in sized if id(v) in read_ops]
    shape = [3, *(2 if size is None else size for size in place.shape[1:])]
    mean = variance = None
    if read:
        try:
            with v1.Session(graph=graph, config=_ON_THE_CPU) as session:
                session.run(v1.global_variables_initializer())
                batch = np.random.default_rng(0).normal(size=[64, *shape[1:]])
                session.run(train, {inputs: batch, flag: True})  # so that no counter is 0 any more
                mean, variance = by_use(partial(_infer, session, inputs, inferred, flag, read), len(read), shape)
        except tf.errors.OpError:
            pass  # it cannot infer these inputs, or train on them: names will do
    found = [None if i is None else read[i] for i in (mean, variance)]
    # where use does not tell, those that inference reads come first, and then those that it should read
    idle = [v for v in (read or sized) if not v.trainable]
    for k, words in enumerate((MEANS, VARIANCES)):
        for known in (idle, [v for v in sized if not v.trainable]):
            rest = [v for v in known if v is not found[1 - k]]
            position = by_name(words, rest)
            if found[k] is None and position is not None:
                found[k] = rest[position]
    if found[0] is None and found[1] is None and len(idle) >= 2:
        found = list(idle[:2])  # the usual order of creation
    return found[0], found[1], mean is not None and variance is not None


def _infer(
    session: Any,
    inputs: tf.Tensor,
    outputs: tf.Tensor,
    flag: tf.Tensor,
    variables: Sequence[tf.Variable],
    x: np.ndarray,
    values: Sequence[np.ndarray],
) -> np.ndarray:
    # the second input of an initializer is the value that it assigns, and any tensor may be fed
    feeds = {v.initializer.inputs[1]: value.reshape(v.shape) for v, value in zip(variables, values, strict=True)}
    session.run([variable.initializer for variable in variables], feeds)
    found: np.ndarray = session.run(outputs, {inputs: x, flag: False})
    return found
