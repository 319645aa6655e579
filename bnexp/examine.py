"""Gathers the evidence for a diagnosis: the layer probed alone, the whole graph audited, the run's own figures."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from bnexp.audit import Finding, audit
from bnexp.evaluate import Evaluation
from bnexp.fingerprint import Fingerprint, fingerprint
from bnexp.graph import Graph
from bnexp.layer import accepts
from bnexp.model import Model
from bnexp.moments import Moments, mean_error, variance_ratio
from bnexp.trajectory import Trajectories
from bnexp.verdict import Evidence

# what was found of the models that a sweep's jobs share; neither probe nor audit depends on anything else
_SEEN: WeakKeyDictionary[Model, tuple[Fingerprint, list[Finding]]] = WeakKeyDictionary()


def examine(
    variant: Callable[..., Any],
    build: Callable[[], Graph],
    *,
    rank: int,
    decay: float,
    steps: int,
    replaced: bool,
    trajectories: Trajectories | None,
    evaluation: Evaluation,
    batched: Evaluation,
    model: Model | None = None,
) -> Evidence:
    """Probes the variant, audits the network's graph, and puts both beside what the run measured.

    Args:
        variant: makes a layer, as the config's variant node instantiates to.
        build: builds the network's graph in the current tf.Graph.
        rank: of the layers' inputs, 2 or 4.
        decay: the run's.
        steps: training steps behind the statistics.
        replaced: whether a final pass replaced the moving averages.
        trajectories: of the run; None where it only restored another's weights.
        evaluation: at eval_batch_size, with the last moving averages.
        batched: in large batches, inference mode.
        model: of this variant and this graph; what is probed and audited of it once is not looked at again.
    """
    mean, variance = _distance(trajectories)
    seen = _SEEN.get(model) if model is not None else None
    if seen is None:
        seen = fingerprint(variant, rank=rank), _audit(build)
        if model is not None:
            _SEEN[model] = seen
    return Evidence(
        fingerprint=seen[0],
        findings=seen[1],
        decay=decay,
        steps=steps,
        replaced=replaced,
        accepts_decay=accepts(variant, "decay"),
        mean_error=mean,
        variance_ratio=variance,
        moved=evaluation.moved,
        accuracy=evaluation.accuracy,
        accuracy_batched=batched.accuracy,
        diverged=_first_diverged(trajectories),
    )


def _audit(build: Callable[[], Graph]) -> list[Finding]:
    # a graph of its own: in the engine's wrapped function variables are inputs, and have no ops to look at
    with tf.Graph().as_default():
        return audit(build())


def _distance(trajectories: Trajectories | None) -> tuple[float, float]:
    """Returns the worst layer's mean error and variance ratio at the end of training."""
    if trajectories is None or not trajectories.layers:
        return float("nan"), float("nan")
    population = list(trajectories.populations.values())[-1]
    errors, ratios = [], []
    for layer in trajectories.layers:
        moving = Moments(*(trajectories.arrays[f"{layer}/moving_{s}"][-1] for s in ("mean", "variance")))
        errors.append(mean_error(moving, population[layer]))
        ratios.append(variance_ratio(moving, population[layer]))
    return max(errors), max(ratios, key=lambda ratio: max(ratio, 1 / ratio) if ratio else float("inf"))


def _first_diverged(trajectories: Trajectories | None) -> int:
    """Returns the first step kept whose loss is no finite number; 0 where there is none."""
    if trajectories is None:
        return 0
    steps = trajectories.steps[~np.isfinite(trajectories.arrays["loss"])]
    return int(steps[0]) if len(steps) else 0
