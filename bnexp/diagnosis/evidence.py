"""The evidence for a verdict: the layer's fingerprint, the audit of its graph, and the measurements of the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from bnexp.diagnosis.audit import Finding
from bnexp.diagnosis.fingerprint import Fingerprint
from bnexp.evaluation.evaluate import Evaluation
from bnexp.evaluation.harm import Harm
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
        mean_error: the distance of the moving mean from the population's at the end of training, in population standard
            deviations, of the layer where it is largest; NaN if it was not measured.
        variance_ratio: the ratio of moving to population variance at the end of training, of the layer where it is
            farthest from 1; NaN if it was not measured.
        moved: the largest absolute change of a moving statistic by evaluating the network.
        harm: the accuracy with the statistics that inference uses after the final pass, and with the population's.
        accuracy_batched: the test accuracy in inference mode in large batches after the final pass, a fraction.
        diverged: the first recorded training step whose loss is not finite; 0 if there is none.
        left: where a custom layer left the updates that its train op runs, `"the collection UPDATE_OPS"`.
        by_minimize: what such a layer does when it is probed under plain `minimize`, which runs none of them; None for
            any other layer.
    """

    fingerprint: Fingerprint
    findings: Sequence[Finding]
    decay: float
    steps: int
    replaced: bool
    mean_error: float
    variance_ratio: float
    moved: float
    harm: Harm
    accuracy_batched: float
    diverged: int
    left: tuple[str, ...] = ()
    by_minimize: Fingerprint | None = None

    @property
    def acting_decay(self) -> float:
        """Returns the decay that the layer averages with: the setting, or its own if it takes none."""
        return self.decay if self.fingerprint.takes_decay else self.fingerprint.acting_decay

    @property
    def start_left(self) -> float:
        """Returns the weight that the initial value still has in the averages after training; NaN if unknown."""
        decay = self.acting_decay
        return float(decay**self.steps) if 0 <= decay < 1 else nan

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
    trajectories: Trajectories | None,
    before: Evaluation,
    batched: Evaluation,
    harm: Harm,
    left: Sequence[str] = (),
    by_minimize: Fingerprint | None = None,
) -> Evidence:
    """Combines a layer's fingerprint and its graph's audit with the measurements of the run.

    Args:
        fingerprint: what the layer does when it is probed alone.
        findings: what the audit of the network's graph found.
        decay: the setting `decay`, in [0, 1).
        steps: the number of training steps behind the moving statistics.
        replaced: whether a final pass replaced the moving statistics.
        trajectories: what the run recorded in training; None if it restored the weights of another run.
        before: the evaluation at eval_batch_size before the final pass.
        batched: the evaluation in inference mode in large batches after the final pass.
        harm: the harm that the statistics do which inference uses.
        left: where a custom layer left the updates that its train op runs.
        by_minimize: what such a layer does under plain `minimize`.

    Example:
        >>> evidence = gather_evidence(
        ...     fingerprint(update_ops.BatchNorm), [], decay=0.9, steps=4, replaced=False, trajectories=None,
        ...     before=evaluation, batched=evaluation, harm=harm,
        ... )
    """
    mean, variance = _distance(trajectories)
    return Evidence(
        fingerprint=fingerprint,
        findings=findings,
        decay=decay,
        steps=steps,
        replaced=replaced,
        mean_error=mean,
        variance_ratio=variance,
        moved=before.moved,
        harm=harm,
        accuracy_batched=batched.accuracy,
        diverged=_first_diverged(trajectories),
        left=tuple(left),
        by_minimize=by_minimize,
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
