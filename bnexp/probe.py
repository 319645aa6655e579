"""One batch-norm layer alone: arrays in, its outputs and its moving statistics out, call by call."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from bnexp.engine.single_layer import LAYER, lone_layer, run_calls
from bnexp.graph import Of
from bnexp.graph.layer import variant_factory
from bnexp.statistics.reference import Trace


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
        train_batches: the batch of each training call, [T, batch, ..., channels] float32.
        inference_batches: the batch of each inference call that follows, [I, batch, ..., channels] float32; the batch
            size may differ from that of training.
        decay: the weight in [0, 1) that the layer's old average keeps: `moving = decay * moving + (1 - decay) * batch`.
        epsilon: added by the layer to a variance before its square root.
        engine: `"compiled"`, or `"session"`, which makes one Session.run per call, the classic TensorFlow 1 way.

    Returns:
        The moving statistics after each call and the outputs of each call, float32. If the layer keeps no statistics,
        `moving_mean` and `moving_variance` have no channels.

    Raises:
        UserError: no variant has that name.

    Example:
        >>> batches = np.random.default_rng(0).normal(5, 2, [20, 8, 3]).astype("float32")
        >>> trace = trace_layer("update_ops", batches, batches[:4, :1], decay=0.9, epsilon=1e-3)
        >>> trace.moving_mean.shape, trace.inference_outputs.shape
        ((24, 3), (4, 1, 3))
    """
    factory = variant_factory(variant, decay=decay, epsilon=epsilon) if isinstance(variant, str) else variant
    built = lone_layer(factory, train_batches.shape[2:], engine=engine, decay=decay, epsilon=epsilon)
    trained = run_calls(built, built.graph.train, train_batches)
    inferred = run_calls(built, built.graph.inference, inference_batches)

    def statistic(name: str) -> np.ndarray:
        missing = np.zeros([len(train_batches) + len(inference_batches), 0], np.float32)
        parts = [calls[Of(LAYER, name)] for calls in (trained, inferred) if Of(LAYER, name) in calls]
        return np.concatenate(parts) if parts else missing

    return Trace(statistic("moving_mean"), statistic("moving_variance"), trained["outputs"], inferred["outputs"])
