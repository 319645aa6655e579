"""One batch-norm layer as a whole network, fed with arrays; the probe and the fingerprints run it."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from bnexp.engine import Engine
from bnexp.engine.engines import ENGINES
from bnexp.graph import Graph, Of, OutputName, Subgraph
from bnexp.graph.build import build_graph
from bnexp.graph.layer import layer_maker

v1 = tf.compat.v1

LAYER = "bn"

# the outputs that are fetched; loss and accuracy of a single layer mean nothing
_WANTED = ("outputs", Of(LAYER, "moving_mean"), Of(LAYER, "moving_variance"))


def lone_layer(
    factory: Callable[..., Any],
    example_shape: tuple[int, ...],
    *,
    engine: Literal["compiled", "session"],
    decay: float,
    epsilon: float,
    updates: str = "auto",
) -> Engine:
    """Builds one batch-norm layer as a network, by `lone_graph`, in an engine on the CPU.

    Args:
        factory: a class, a function or a `functools.partial` that makes the layer, or is it, see `layer_maker`.
        example_shape: the shape of one example, [channels] or [height, width, channels].
        engine: the engine to build it in; `"session"` is the reference, and is built faster.
        decay: the weight in [0, 1) that the old average keeps; given to the factory if it takes `decay`.
        epsilon: added to a variance before its square root; given to the factory if it takes `epsilon`.
        updates: how the updates of a custom layer are run, see `layer_maker`.

    Example:
        >>> engine = lone_layer(update_ops.BatchNorm, (3,), engine="session", decay=0.9, epsilon=1e-3)
        >>> engine.state()["bn/moving_variance"]
        array([1., 1., 1.], dtype=float32)
    """
    build = partial(lone_graph, factory, example_shape, decay=decay, epsilon=epsilon, updates=updates)
    return ENGINES[engine](build, device="/CPU:0")


def lone_graph(
    factory: Callable[..., Any], example_shape: tuple[int, ...], *, decay: float, epsilon: float, updates: str = "auto"
) -> Graph:
    """Builds one layer as a network in the current graph; its train op changes only what the layer itself updates.

    Args:
        factory: a class, a function or a `functools.partial` that makes the layer, or is it, see `layer_maker`.
        example_shape: the shape of one example, [channels] or [height, width, channels].
        decay: the weight in [0, 1) that the old average keeps; given to the factory if it takes `decay`.
        epsilon: added to a variance before its square root; given to the factory if it takes `epsilon`.
        updates: how the updates of a custom layer are run, see `layer_maker`.

    Example:
        >>> with tf.Graph().as_default():
        ...     list(lone_graph(update_ops.BatchNorm, (3,), decay=0.9, epsilon=1e-3).layers)
        ['bn']
    """
    return build_graph(
        lambda inputs, *, batch_norm, num_classes, seed: batch_norm(inputs, LAYER),
        layer_maker(factory, updates=updates, decay=decay, epsilon=epsilon),
        # with a step size of 0 the train op and all updates run, but gamma and beta stay as they are
        v1.train.GradientDescentOptimizer(0.0),
        example_shape=tuple(example_shape),
        num_classes=example_shape[-1],
        seed=0,
        loss_of=_anchored,
    )


def run_calls(engine: Engine, subgraph: Subgraph, batches: np.ndarray) -> dict[OutputName, np.ndarray]:
    """Runs a subgraph on each of `batches`, in order.

    Args:
        engine: an engine that `lone_layer` has built.
        subgraph: the subgraph of its graph to run, such as `engine.graph.train`.
        batches: the batch of each call, [calls, batch, ..., channels] float32.

    Returns:
        The layer's `outputs` of each call, [calls, batch, ..., channels], and the moving statistics after each call,
        [calls, channels], if the subgraph outputs them.

    Example:
        >>> run_calls(engine, engine.graph.train, np.ones([20, 8, 3], "float32"))["outputs"].shape
        (20, 8, 3)
    """
    calls, size = batches.shape[:2]
    examples = np.ascontiguousarray(batches, np.float32).reshape(calls * size, *batches.shape[2:])
    rows = np.arange(calls * size, dtype=np.int32).reshape(calls, size)
    arrays = [examples, np.zeros(calls * size, np.int32)][: len(subgraph.feeds)]
    if not calls:
        return {"outputs": np.zeros(batches.shape, np.float32)}
    wanted = [name for name in subgraph.outputs if name in _WANTED]
    if wanted == ["outputs"] and "loss" in subgraph.outputs:
        wanted.append("loss")  # a training step then runs, although no statistic was found that waits for it
    return engine.program(subgraph.only(wanted), calls=calls)(arrays, rows)


def _anchored(outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    # a loss that depends on the outputs but has a gradient only for a variable of its own, so that there is one to
    # minimise even for a layer without trainable variables
    anchor = v1.get_variable("anchor", [], initializer=v1.ones_initializer())
    return anchor * tf.reduce_mean(tf.stop_gradient(outputs))
