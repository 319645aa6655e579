"""Finds out what a layer does from its inputs, outputs and variables alone, without reading its traits."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import tensorflow as tf

from bnexp.diagnosis.normalisation import training_uses
from bnexp.diagnosis.recurrence import acting_decay, mean_recurrence, variance_recurrence
from bnexp.diagnosis.specimen import DECAY, SIZES, Specimen
from bnexp.statistics.reference import batch_mean, batch_variance

# the most that an inference output may differ when other rows are in its batch, by the order of summation alone
CO_BATCHED = 1e-3


@dataclass(frozen=True)
class Fingerprint:
    """What a layer did when it was probed alone.

    Attributes:
        keeps_statistics: whether moving statistics were found.
        takes_decay: whether the layer takes the run's decay; otherwise it has one of its own.
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
        other_state: the names of untrainable variables of another size than the channels' that training changed, if no
            statistics were found.
        pooled: whether the statistics are averages of moments that are taken over all channels together.
        activation: the name of the activation behind the normalisation; empty if there is none.
    """

    keeps_statistics: bool
    takes_decay: bool = True
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
    other_state: tuple[str, ...] = ()
    pooled: bool = False
    activation: str = ""


def fingerprint(factory: Callable[..., Any], *, rank: int = 2, updates: str = "auto") -> Fingerprint:
    """Probes the layer that `factory` makes.

    Args:
        factory: makes the layer, a class or a function; it is given those of `name`, `decay` and `epsilon` that it
            takes.
        rank: the rank of the inputs to probe with: 2 for [batch, 4], 4 for [batch, 2, 3, 4].
        updates: how the updates of a custom layer are run, see `layer_maker`.

    Example:
        >>> seen = fingerprint(momentum_swapped.BatchNorm)
        >>> seen.mean_recurrence, seen.inference_uses
        ('swapped', 'moving')
    """
    specimen = _specimen(factory, rank, updates)
    ignores_decay = "decay" not in specimen.takes
    epsilon = specimen.find_epsilon_and_activation()
    training = training_uses(specimen.training, specimen.undone, *specimen.series, epsilon)
    decay = DECAY
    if ignores_decay and specimen.names:
        found = acting_decay(specimen.series[0], np.array([batch_mean(batch) for batch in specimen.training]))
        decay = found if 0 <= found < 1 else DECAY
    inference, affine_agrees = specimen.inference(training, epsilon, decay)
    alone, together, seen_alone = specimen.co_batched()
    seen = partial(
        Fingerprint,
        takes_decay=not ignores_decay,
        activation=specimen.activation.name,
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
        changed = float(np.abs(together - specimen.untrained).max())
        return seen(keeps_statistics=False, changed_by_training=changed, other_state=specimen.other_state())

    means = np.array([batch_mean(batch) for batch in specimen.training])
    variances = np.array([batch_variance(batch) for batch in specimen.training])
    asked = None if ignores_decay else DECAY
    mean = mean_recurrence(specimen.series[0], specimen.training, asked)
    variance = variance_recurrence(
        specimen.series[1],
        specimen.training,
        asked,
        mean.decay if ignores_decay else DECAY,
        epsilon,
    )
    pooled = False
    if mean.name == variance.name == "unknown":
        merged = [_pooled(batch) for batch in specimen.training]
        together_mean = mean_recurrence(specimen.series[0], merged, asked)
        pooled = together_mean.name != "unknown"
        if pooled:
            mean = together_mean
            variance = variance_recurrence(specimen.series[1], merged, asked, mean.decay, epsilon)
    # an average from 0 that is divided by 1 - decay**t when it is read is equivalent to one that is stored divided
    debiased_when_read = inference == "moving_debiased" and (mean.name, variance.name) == ("ema", "ema")
    averaged, copied = specimen.elsewhere()
    return seen(
        keeps_statistics=True,
        mean_recurrence="zero_debias" if debiased_when_read else mean.name,
        variance_recurrence="zero_debias" if debiased_when_read else variance.name,
        variance_ddof=variance.ddof,
        pooled=pooled,
        variance_kept=specimen.variance_kept(seen_alone[0], seen_alone[1]),
        variance_error=variance.imprecise,
        first_variance=(float(specimen.series[1][1, 0]), float(decay + (1 - decay) * variances[0, 0])),
        # of a debiased average, the first steps are longer than its decay says
        acting_decay=mean.decay if mean.name == "zero_debias" else acting_decay(specimen.series[0], means),
        initial=(float(specimen.series[0][0, 0]), float(specimen.series[1][0, 0])),
        averaged_elsewhere=averaged,
        copied_elsewhere=copied,
    )


def _pooled(batch: np.ndarray) -> np.ndarray:
    """Returns a batch whose moments in every channel are those of all channels of `batch` together."""
    return np.repeat(batch.reshape(-1, 1), batch.shape[-1], axis=1)


def _specimen(factory: Callable[..., Any], rank: int, updates: str) -> Specimen:
    """Makes a specimen with the smallest training batches that the layer takes."""
    make = partial(Specimen, factory, positions=(2, 3) if rank == 4 else (), updates=updates)
    for sizes in SIZES[:-1]:
        try:
            return make(sizes=sizes)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            continue  # as of a layer that splits its batch into ghost batches of 32
    return make(sizes=SIZES[-1])
