"""Names the recurrence that moved a statistic: which closed form of `bnexp.reference`, right or wrong, it follows.

Every judgement is a comparison in float64 of all the steps that the statistic took.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnexp import reference
from bnexp.reference import batch_variance

# float32 keeps seven digits; a few hundred operations on them keep five
TOLERANCE = 1e-4

# into how many parts ghost batch norm may be splitting a batch
GHOST_PARTS = (2, 4, 8)


@dataclass(frozen=True)
class Recurrence:
    """How a statistic moved.

    Attributes:
        name: a key of `reference.RECURRENCES`, `"stddev_ema"`, `"ghost_ema"`, `"ema_of_another_decay"` or `"unknown"`.
        decay: the decay that acted; NaN where the name knows none.
        ddof: of the batch variances that it fits.
        imprecise: 0, or how far the statistic of a channel with a large mean is off, relatively, where the others fit.
    """

    name: str
    decay: float = float("nan")
    ddof: int = 0
    imprecise: float = 0.0


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> bool:
    """Tells whether two arrays agree to within `tolerance` of their size, or of 1 where they are smaller."""
    return found.shape == expected.shape and bool(
        np.all(np.abs(found - expected) <= tolerance * (1 + np.abs(expected)))
    )


def acting_decay(series: np.ndarray, values: np.ndarray) -> float:
    """Fits `moving += (1 - decay) * (value - moving)` to a series [T + 1, channels]; NaN where nothing moved."""
    steps, pulls = np.diff(series, axis=0), values - series[:-1]
    return float(1 - np.sum(steps * pulls) / np.sum(pulls**2)) if np.any(steps) else float("nan")


def recurrence(series: np.ndarray, values: np.ndarray, decay: float | None) -> Recurrence:
    """Names what takes `values` [T, channels] to `series` [T + 1, channels], its start included.

    Args:
        series: the statistic before the first and after each training call.
        values: what each call's batch gave it to average.
        decay: that was asked for; None where nobody could ask, and any will do.
    """
    if not np.any(np.diff(series, axis=0)):
        return Recurrence("never")
    start, acting = float(series[0].flat[0]), acting_decay(series, values)
    for candidate in (decay,) if decay is not None else (acting, _debiased_decay(series, values)):
        if not 0 <= candidate < 1:
            continue
        for name, formula in reference.RECURRENCES.items():
            if name != "never" and close(series[1:], formula(values, start, candidate)):
                # of a decay that nobody asked for, one that forgets more than half in a step is the other convention's
                own = decay is None and name == "ema" and candidate < 0.5
                return Recurrence("swapped" if own else name, candidate)
    if 0 <= acting < 1 and close(series[1:], reference.ema(values, start, acting)):
        return Recurrence("ema_of_another_decay", acting)
    return Recurrence("unknown", acting)


def variance_recurrence(
    series: np.ndarray, training: Sequence[np.ndarray], decay: float | None, mean_decay: float, epsilon: float
) -> Recurrence:
    """Names what the moving variance does, as `recurrence`; the last channel is the one with a large mean.

    Args:
        series: [T + 1, channels].
        training: the T batches.
        decay: that was asked for; None where nobody could ask.
        mean_decay: that the moving mean was found to have.
        epsilon: of the layer.
    """
    for channels in (slice(None), slice(-1)):
        for ddof in (0, 1):
            values = np.array([batch_variance(batch, ddof) for batch in training])
            found = recurrence(series[:, channels], values[:, channels], decay)
            if found.name != "unknown":
                return Recurrence(found.name, found.decay, ddof, _excess(found, series, values))
    biased = np.array([batch_variance(batch) for batch in training])
    if close(series[1:], reference.stddev_ema(biased, mean_decay, epsilon)):
        return Recurrence("stddev_ema", mean_decay)
    for parts in GHOST_PARTS:
        ghosts = [np.mean([v for _, _, v in reference.ghost_moments(batch, parts)], 0) for batch in training]
        if close(series[1:], reference.ema(np.array(ghosts), 1.0, mean_decay)):
            return Recurrence("ghost_ema", mean_decay)
    return Recurrence("unknown")


def _excess(found: Recurrence, series: np.ndarray, values: np.ndarray) -> float:
    """Returns by how much the last channel misses the recurrence that the others follow; 0 where it does not."""
    formula = reference.RECURRENCES.get(found.name, reference.ema)
    expected = formula(values, float(series[0].flat[0]), found.decay)
    if close(series[1:], expected):
        return 0.0
    return float(np.max(np.abs(series[1:, -1] - expected[:, -1]) / np.maximum(expected[:, -1], TOLERANCE)))


def _debiased_decay(series: np.ndarray, values: np.ndarray) -> float:
    """Solves a debiased average's second value, (decay * first + second) / (decay + 1), for its decay."""
    pulled = series[2] - values[0]
    return float(np.median((values[1] - series[2]) / np.where(pulled == 0, np.inf, pulled)))
