"""What a layer does, seen from outside: cheap probes of one layer alone, its traits unread."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from bnexp.layer import accepts
from bnexp.normalisation import acting_epsilon, training_uses
from bnexp.recurrence import acting_decay, recurrence, variance_recurrence
from bnexp.reference import batch_mean, batch_variance
from bnexp.specimen import DECAY, EPSILON, Specimen

# an inference output may differ in company by the order of a sum, and by no more
COMPANY = 1e-3


@dataclass(frozen=True)
class Fingerprint:
    """What a layer did.

    Attributes:
        keeps_statistics: whether moving statistics were found.
        mean_recurrence: how the moving mean that inference reads moved in training: a key of `reference.RECURRENCES`,
            `"ema_of_another_decay"` or `"unknown"`.
        variance_recurrence: likewise of the variance; also `"stddev_ema"`, `"ghost_ema"`.
        variance_ddof: 0 or 1, whichever the variance recurrence fits.
        variance_error: how far the moving variance of a channel with a large mean is off, relatively, where those of
            the others are right.
        first_variance: moving variance after the first training call, of the first channel, and what an average from 1
            would have made it.
        acting_decay: the decay that fits the moving mean's steps best; NaN where it never moved.
        initial: moving mean and variance before training, each the first channel's.
        training_uses: what training normalised with: `"batch"`, `"moving"`, `"ghost"`, `"renorm"` or `"unknown"`.
        inference_uses: what inference normalised with: `"moving"`, `"batch"` or `"unknown"`.
        gradient: what a training output's gradient takes into account where the batch is used: the `"batch"` as it
            should, `"constants"` where mean and variance are none of its business, `"nothing"` or `"unknown"`; empty
            where it was not looked at.
        affine_agrees: whether inference applies the same gamma and beta as training.
        moved_by_inference: largest change of a moving statistic by inference calls.
        variance_kept: what a single example at inference multiplies every channel's moving variance by; NaN where there
            is no one factor.
        moved_by_monitoring: largest change by watching held-out data the way the layer's users do.
        batch_dependence: largest change of an inference output when the same row comes with other rows.
        constant_output: largest absolute training output for a batch of equal rows: 0 where the batch is used.
        averaged_elsewhere: names of variables that inference does not read and that average the batch in training.
        copied_elsewhere: names of variables that inference does not read and that hold the last batch's moments.
        changed_by_training: largest change of an inference output by training, where no statistics were found.
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
        factory: takes `name`, `decay` and `epsilon`, or those of them that it knows.
        rank: 2 probes dense inputs [batch, 4], 4 probes images [batch, 2, 3, 4].
    """
    specimen = Specimen(factory, positions=(2, 3) if rank == 4 else ())
    deaf = not accepts(factory, "decay")
    epsilon = EPSILON if accepts(factory, "epsilon") else acting_epsilon(specimen.training, specimen.outputs, EPSILON)
    training = training_uses(specimen.training, specimen.outputs, *specimen.series, epsilon)
    inference, affine_agrees = specimen.inference(training, epsilon)
    alone, together, seen_alone = specimen.company()
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
    mean = recurrence(specimen.series[0], means, None if deaf else DECAY)
    variance = variance_recurrence(
        specimen.series[1], specimen.training, None if deaf else DECAY, mean.decay if deaf else DECAY, epsilon
    )
    # an average from 0 that is divided by 1 - decay**t when it is read is as good as one that is divided when stored
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
