"""One batch-norm layer alone, driven by arrays: what every conformance test and every fingerprint uses."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from bnexp.engine import Engine
from bnexp.engine.compiled import CompiledEngine
from bnexp.engine.session import SessionEngine
from bnexp.graph import Graph, Pruning, build_graph
from bnexp.layer import layer_maker, variant_factory
from bnexp.reference import Trace

v1 = tf.compat.v1

LAYER = "bn"


def trace_layer(
    variant: str | Callable[..., Any],
    train_batches: np.ndarray,
    inference_batches: np.ndarray,
    *,
    decay: float,
    epsilon: float,
    engine: Literal["compiled", "session"] = "compiled",
) -> Trace:
    """Runs one layer on every batch in order, first training, then inference.

    Args:
        variant: the name of a file in conf/variant, or a factory such as a class with the arguments `name`, `decay` and
            `epsilon`.
        train_batches: [T, batch, ..., channels] float32.
        inference_batches: [I, batch, ..., channels] float32; its batch size may be another one.
        decay: `moving = decay * moving + (1 - decay) * batch`.
        epsilon: added to the variance.
        engine: which engine runs it.

    Returns:
        Statistics after each call and outputs of each call, float32. Of a layer that keeps no statistics, `moving_mean`
        and `moving_variance` have no channels.

    Raises:
        UserError: there is no such variant.
    """
    factory = variant_factory(variant, decay=decay, epsilon=epsilon) if isinstance(variant, str) else variant
    built = lone_layer(factory, train_batches.shape[2:], engine=engine, decay=decay, epsilon=epsilon)
    trained = run_calls(built, built.graph.train, train_batches)
    inferred = run_calls(built, built.graph.inference, inference_batches)

    def statistic(name: str) -> np.ndarray:
        missing = np.zeros([len(train_batches) + len(inference_batches), 0], np.float32)
        parts = [calls[f"{LAYER}/{name}"] for calls in (trained, inferred) if f"{LAYER}/{name}" in calls]
        return np.concatenate(parts) if parts else missing

    return Trace(statistic("moving_mean"), statistic("moving_variance"), trained["outputs"], inferred["outputs"])


def lone_layer(
    factory: Callable[..., Any],
    example_shape: tuple[int, ...],
    *,
    engine: Literal["compiled", "session"],
    decay: float,
    epsilon: float,
) -> Engine:
    """Builds a network that is one batch-norm layer, `lone_graph`, in an engine.

    Args:
        factory: makes the layer.
        example_shape: [..., channels].
        engine: which engine to build it in.
        decay: passed to the factory.
        epsilon: passed to the factory.
    """
    build = partial(lone_graph, factory, example_shape, decay=decay, epsilon=epsilon)
    engines: dict[str, Callable[..., Engine]] = {"compiled": CompiledEngine, "session": SessionEngine}
    return engines[engine](build, device="/CPU:0")


def lone_graph(factory: Callable[..., Any], example_shape: tuple[int, ...], *, decay: float, epsilon: float) -> Graph:
    """Builds one layer in the current graph; its train op changes nothing but what the layer itself moves."""
    return build_graph(
        lambda inputs, *, batch_norm, num_classes, seed: batch_norm(inputs, LAYER),
        layer_maker(factory, decay=decay, epsilon=epsilon),
        # a step of size 0: the train op runs, with all that hangs on it, and gamma and beta stay 1 and 0
        v1.train.GradientDescentOptimizer(0.0),
        example_shape=tuple(example_shape),
        num_classes=example_shape[-1],
        seed=0,
        loss_of=_anchored,
    )


def run_calls(engine: Engine, pruning: Pruning, batches: np.ndarray) -> dict[str, np.ndarray]:
    """Runs a pruning on each of `batches` [calls, batch, ..., channels], in order, and stacks what it returns."""
    calls, size = batches.shape[:2]
    examples = np.ascontiguousarray(batches, np.float32).reshape(calls * size, *batches.shape[2:])
    rows = np.arange(calls * size, dtype=np.int32).reshape(calls, size)
    arrays = [examples, np.zeros(calls * size, np.int32)][: len(pruning.feeds)]
    if not calls:
        return {"outputs": np.zeros(batches.shape, np.float32)}
    # loss and accuracy make no sense of a lone layer's outputs
    wanted = [name for name in pruning.outputs if name == "outputs" or "/moving_" in name]
    return engine.program(pruning.only(wanted), calls=calls)(arrays, rows)


def _anchored(outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    # a loss that waits for the outputs, has a variable to minimise over even under the identity, and no other gradient
    anchor = v1.get_variable("anchor", [], initializer=v1.ones_initializer())
    return anchor * tf.reduce_mean(tf.stop_gradient(outputs))
