"""The evidence for a verdict: the layer's fingerprint, the audit of its graph, and the measurements of the run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnexp.diagnosis.audit import Finding
from bnexp.diagnosis.fingerprint import Fingerprint
from bnexp.evaluation.evaluate import Evaluation
from bnexp.statistics.moments import Moments, mean_error, variance_ratio
from bnexp.training.trajectory import Trajectories


@dataclass(frozen=True)
class Evidence:
    """What is known of a run's layers, from which verdicts are drawn.

    Attributes:
        fingerprint: what the layer does when it is probed alone.
        findings: what the audit of the network's graph found.
        decay: the setting `decay`, in [0, 1).
        steps: the number of training steps behind the moving statistics.
        replaced: whether a final pass replaced the moving statistics.
        accepts_decay: whether the layer takes `decay` as an argument; otherwise it has a decay of its own.
        mean_error: the distance of the moving mean from the population's at the end of training, in population standard
            deviations, of the layer where it is largest; NaN if it was not measured.
        variance_ratio: the ratio of moving to population variance at the end of training, of the layer where it is
            farthest from 1; NaN if it was not measured.
        moved: the largest absolute change of a moving statistic by evaluating the network.
        accuracy: the test accuracy at eval_batch_size before the final pass, a fraction.
        accuracy_batched: the test accuracy in inference mode in large batches after the final pass, a fraction.
        diverged: the first recorded training step whose loss is not finite; 0 if there is none.
    """

    fingerprint: Fingerprint
    findings: Sequence[Finding]
    decay: float
    steps: int
    replaced: bool
    accepts_decay: bool
    mean_error: float
    variance_ratio: float
    moved: float
    accuracy: float
    accuracy_batched: float
    diverged: int

    def found(self, check: str) -> Finding | None:
        """Returns the audit's first finding of a kind; None if there is none.

        Args:
            check: the kind, one of `bnexp.diagnosis.audit.Check`.
        """
        return next((finding for finding in self.findings if finding.check == check), None)


def gather_evidence(
    fingerprint: Fingerprint,
    findings: Sequence[Finding],
    *,
    decay: float,
    steps: int,
    replaced: bool,
    accepts_decay: bool,
    trajectories: Trajectories | None,
    before: Evaluation,
    batched: Evaluation,
) -> Evidence:
    """Combines a layer's fingerprint and its graph's audit with the measurements of the run.

    Args:
        fingerprint: what the layer does when it is probed alone.
        findings: what the audit of the network's graph found.
        decay: the setting `decay`, in [0, 1).
        steps: the number of training steps behind the moving statistics.
        replaced: whether a final pass replaced the moving statistics.
        accepts_decay: whether the layer takes `decay` as an argument.
        trajectories: what the run recorded in training; None if it restored the weights of another run.
        before: the evaluation at eval_batch_size before the final pass.
        batched: the evaluation in inference mode in large batches after the final pass.

    Example:
        >>> evidence = gather_evidence(
        ...     fingerprint(update_ops.BatchNorm), [], decay=0.9, steps=4, replaced=False, accepts_decay=True,
        ...     trajectories=None, before=evaluation, batched=evaluation,
        ... )
    """
    mean, variance = _distance(trajectories)
    return Evidence(
        fingerprint=fingerprint,
        findings=findings,
        decay=decay,
        steps=steps,
        replaced=replaced,
        accepts_decay=accepts_decay,
        mean_error=mean,
        variance_ratio=variance,
        moved=before.moved,
        accuracy=before.accuracy,
        accuracy_batched=batched.accuracy,
        diverged=_first_diverged(trajectories),
    )


def _distance(trajectories: Trajectories | None) -> tuple[float, float]:
    """Returns the largest mean error of a layer and the variance ratio farthest from 1, at the end of training."""
    if trajectories is None or not trajectories.averaging_layers:
        return float("nan"), float("nan")
    population = trajectories.last_population
    errors, ratios = [], []
    for layer, statistics in trajectories.layers.items():
        if statistics.moving is not None:
            last = Moments(statistics.moving.mean[-1], statistics.moving.variance[-1])
            errors.append(mean_error(last, population[layer]))
            ratios.append(variance_ratio(last, population[layer]))
    return max(errors), max(ratios, key=lambda ratio: max(ratio, 1 / ratio) if ratio else float("inf"))


def _first_diverged(trajectories: Trajectories | None) -> int:
    """Returns the first recorded step whose loss is not finite; 0 if there is none."""
    if trajectories is None:
        return 0
    steps = trajectories.steps[~np.isfinite(trajectories.losses)]
    return int(steps[0]) if len(steps) else 0
