"""Finds out what a layer does from its inputs, outputs and variables alone, without reading its traits."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from bnexp.diagnosis.normalisation import acting_epsilon, training_uses
from bnexp.diagnosis.recurrence import acting_decay, recurrence, variance_recurrence
from bnexp.diagnosis.specimen import DECAY, EPSILON, Specimen
from bnexp.graph.layer import accepts
from bnexp.statistics.reference import batch_mean, batch_variance

# the most that an inference output may differ when other rows are in its batch, by the order of summation alone
CO_BATCHED = 1e-3


@dataclass(frozen=True)
class Fingerprint:
    """What a layer did when it was probed alone.

    Attributes:
        keeps_statistics: whether moving statistics were found.
        mean_recurrence: the rule by which training moved the moving mean: a key of `reference.RECURRENCES`,
            `"ema_of_another_decay"` or `"unknown"`; `"none"` without statistics.
        variance_recurrence: the same for the moving variance; also `"stddev_ema"` or `"ghost_ema"`.
        variance_ddof: 0 if the moving variance averages biased batch variances, 1 if Bessel-corrected ones.
        variance_error: the relative error of the moving variance in a channel whose mean is hundreds of standard
            deviations; 0 if it is right, or if other channels are wrong too.
        first_variance: the first channel's moving variance after the first training call, and the value that an average
            from 1 would have had.
        acting_decay: the decay that fits the steps of the moving mean best; NaN if it never moved.
        initial: the first channel's moving mean and moving variance before training.
        training_uses: what training normalised with: `"batch"`, `"moving"`, `"ghost"`, `"renorm"` or `"unknown"`.
        inference_uses: what inference normalised with: `"moving"`, `"batch"` or `"unknown"`.
        gradient: what the gradient of a training output takes into account: `"batch"` (right: mean and variance depend
            on the inputs), `"constants"` (they are taken for constants), `"nothing"` (no gradient) or `"unknown"`;
            empty if training does not use the batch.
        affine_agrees: whether inference applies the same gamma and beta as training.
        moved_by_inference: the largest absolute change of a moving statistic by an inference call.
        variance_kept: the factor by which one inference call on a single example multiplied the moving variance of
            every channel; NaN if the channels' factors differ.
        moved_by_monitoring: the largest absolute change of a moving statistic by running held-out data as the layer's
            users do during training.
        batch_dependence: the largest absolute change of an inference output of a row when other rows join its batch.
        constant_output: the largest absolute training output for a batch of equal rows; 0 if the batch is used.
        averaged_elsewhere: the names of variables that training fills with averages but inference does not read.
        copied_elsewhere: the names of variables that training fills with the last batch's moments but inference does
            not read.
        changed_by_training: the largest absolute change of an inference output by training, if no statistics were
            found; otherwise 0.
    """

    keeps_statistics: bool
    mean_recurrence: str = "none"
    variance_recurrence: str = "none"
    variance_ddof: int = 0
    variance_error: float = 0.0
    first_variance: tuple[float, float] = (float("nan"), float("nan"))
    acting_decay: float = float("nan")
    initial: tuple[float, float] = (0.0, 1.0)
    training_uses: str = "unknown"
    inference_uses: str = "unknown"
    gradient: str = ""
    affine_agrees: bool = True
    moved_by_inference: float = 0.0
    variance_kept: float = float("nan")
    moved_by_monitoring: float = 0.0
    batch_dependence: float = 0.0
    constant_output: float = 0.0
    averaged_elsewhere: tuple[str, ...] = ()
    copied_elsewhere: tuple[str, ...] = ()
    changed_by_training: float = 0.0


def fingerprint(factory: Callable[..., Any], *, rank: int = 2) -> Fingerprint:
    """Probes the layer that `factory` makes.

    Args:
        factory: makes the layer, a class or a function; it is given those of `name`, `decay` and `epsilon` that it
            takes.
        rank: the rank of the inputs to probe with: 2 for [batch, 4], 4 for [batch, 2, 3, 4].

    Example:
        >>> seen = fingerprint(momentum_swapped.BatchNorm)
        >>> seen.mean_recurrence, seen.inference_uses
        ('swapped', 'moving')
    """
    specimen = Specimen(factory, positions=(2, 3) if rank == 4 else ())
    ignores_decay = not accepts(factory, "decay")
    epsilon = EPSILON if accepts(factory, "epsilon") else acting_epsilon(specimen.training, specimen.outputs, EPSILON)
    training = training_uses(specimen.training, specimen.outputs, *specimen.series, epsilon)
    inference, affine_agrees = specimen.inference(training, epsilon)
    alone, together, seen_alone = specimen.co_batched()
    seen = partial(
        Fingerprint,
        training_uses=training,
        inference_uses=inference.removesuffix("_debiased"),
        gradient=specimen.gradient(epsilon) if training == "batch" else "",
        affine_agrees=affine_agrees,
        moved_by_inference=max(specimen.moved(before, after) for before, after in pairwise(seen_alone)),
        moved_by_monitoring=specimen.monitoring(),
        batch_dependence=float(np.abs(together[0] - alone).max()),
        constant_output=specimen.constant(),
    )
    if not specimen.names:
        return seen(keeps_statistics=False, changed_by_training=float(np.abs(together - specimen.untrained).max()))

    means = np.array([batch_mean(batch) for batch in specimen.training])
    variances = np.array([batch_variance(batch) for batch in specimen.training])
    asked = None if ignores_decay else DECAY
    mean = recurrence(specimen.series[0], means, asked)
    variance = variance_recurrence(
        specimen.series[1],
        specimen.training,
        asked,
        mean.decay if ignores_decay else DECAY,
        epsilon,
    )
    # an average from 0 that is divided by 1 - decay**t when it is read is equivalent to one that is stored divided
    debiased_when_read = inference == "moving_debiased" and (mean.name, variance.name) == ("ema", "ema")
    averaged, copied = specimen.elsewhere()
    return seen(
        keeps_statistics=True,
        mean_recurrence="zero_debias" if debiased_when_read else mean.name,
        variance_recurrence="zero_debias" if debiased_when_read else variance.name,
        variance_ddof=variance.ddof,
        variance_kept=specimen.variance_kept(seen_alone[0], seen_alone[1]),
        variance_error=variance.imprecise,
        first_variance=(float(specimen.series[1][1, 0]), float(DECAY + (1 - DECAY) * variances[0, 0])),
        acting_decay=acting_decay(specimen.series[0], means),
        initial=(float(specimen.series[0][0, 0]), float(specimen.series[1][0, 0])),
        averaged_elsewhere=averaged,
        copied_elsewhere=copied,
    )
