"""Names the recurrence, right or wrong, that a moving statistic follows.

All steps of the statistic are compared in float64 with the recurrences of `bnexp.statistics.reference`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnexp.statistics import reference
from bnexp.statistics.reference import batch_variance

# float32 has seven digits; after a few hundred operations about five are right
TOLERANCE = 1e-4

# the numbers of ghost batches that are tried
GHOST_PARTS = (2, 4, 8)


@dataclass(frozen=True)
class Recurrence:
    """How a statistic moved.

    Attributes:
        name: a key of `reference.RECURRENCES`, `"stddev_ema"`, `"ghost_ema"`, `"ema_of_another_decay"` or `"unknown"`.
        decay: the decay with which the recurrence fits; NaN if there is none.
        ddof: 0 if the recurrence fits with biased batch variances, 1 if with Bessel-corrected ones.
        imprecise: the relative error in the channel with a large mean, if only that channel misses the recurrence;
            otherwise 0.
    """

    name: str
    decay: float = float("nan")
    ddof: int = 0
    imprecise: float = 0.0


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> bool:
    """Tells whether two arrays have the same shape and values within `tolerance * (1 + |expected|)`.

    Args:
        found: the values to test.
        expected: the values to compare with.
        tolerance: the relative error that is allowed, and the absolute one for small values.

    Example:
        >>> close(np.array([1.00001]), np.array([1.0])), close(np.array([1.1]), np.array([1.0]))
        (True, False)
    """
    return found.shape == expected.shape and bool(
        np.all(np.abs(found - expected) <= tolerance * (1 + np.abs(expected)))
    )


def acting_decay(series: np.ndarray, values: np.ndarray) -> float:
    """Returns the decay with which `moving += (1 - decay) * (value - moving)` fits best; NaN if nothing moved.

    Args:
        series: the statistic before the first and after each training call, [T + 1, channels].
        values: the batch's value of the statistic in each call, [T, channels].

    Example:
        >>> round(acting_decay(np.array([[0.0], [0.2], [0.38]]), np.array([[2.0], [2.0]])), 6)
        0.9
    """
    steps, pulls = np.diff(series, axis=0), values - series[:-1]
    return float(1 - np.sum(steps * pulls) / np.sum(pulls**2)) if np.any(steps) else float("nan")


def recurrence(series: np.ndarray, values: np.ndarray, decay: float | None) -> Recurrence:
    """Names the recurrence that turns the batches' values into a series.

    Args:
        series: the statistic before the first and after each training call, [T + 1, channels].
        values: the batch's value of the statistic in each call, [T, channels].
        decay: the decay that the layer was given; None if it takes none, so that any decay is right.

    Example:
        >>> values = np.random.default_rng(0).normal(size=[5, 3])
        >>> series = np.concatenate([np.zeros([1, 3]), reference.swapped(values, 0.0, 0.9)])
        >>> recurrence(series, values, decay=0.9).name
        'swapped'
    """
    if not np.any(np.diff(series, axis=0)):
        return Recurrence("never")
    start, acting = float(series[0].flat[0]), acting_decay(series, values)
    for candidate in (decay,) if decay is not None else (acting, _debiased_decay(series, values)):
        if not 0 <= candidate < 1:
            continue
        for name, formula in reference.RECURRENCES.items():
            if name != "never" and close(series[1:], formula(values, start, candidate)):
                # if the layer takes no decay, one below 0.5 is taken for 1 - decay
                own = decay is None and name == "ema" and candidate < 0.5
                return Recurrence("swapped" if own else name, candidate)
    if 0 <= acting < 1 and close(series[1:], reference.ema(values, start, acting)):
        return Recurrence("ema_of_another_decay", acting)
    return Recurrence("unknown", acting)


def variance_recurrence(
    series: np.ndarray, training: Sequence[np.ndarray], decay: float | None, mean_decay: float, epsilon: float
) -> Recurrence:
    """Names the recurrence of the moving variance, which depends on how the layer computes a batch's variance.

    Args:
        series: the moving variance before the first and after each training call, [T + 1, channels]; the last channel
            has a mean of hundreds of standard deviations.
        training: the batch of each training call, T arrays [batch, ..., channels] float32.
        decay: the decay that the layer was given; None if it takes none.
        mean_decay: the decay with which the moving mean was found to move.
        epsilon: added by the layer to a variance before its square root.

    Example:
        >>> batches = np.random.default_rng(0).normal(5, 2, [6, 8, 3])
        >>> values = np.array([batch_variance(batch) for batch in batches])
        >>> series = np.concatenate([np.ones([1, 3]), reference.ema(values, 1.0, 0.9)])
        >>> variance_recurrence(series, batches, 0.9, 0.9, 0.1).name
        'ema'
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
    """Returns the largest relative error of the last channel against the recurrence; 0 if all channels follow it."""
    formula = reference.RECURRENCES.get(found.name, reference.ema)
    expected = formula(values, float(series[0].flat[0]), found.decay)
    if close(series[1:], expected):
        return 0.0
    return float(np.max(np.abs(series[1:, -1] - expected[:, -1]) / np.maximum(expected[:, -1], TOLERANCE)))


def _debiased_decay(series: np.ndarray, values: np.ndarray) -> float:
    """Returns the decay for which a debiased average's second value is (decay * first + second) / (decay + 1)."""
    pulled = series[2] - values[0]
    return float(np.median((values[1] - series[2]) / np.where(pulled == 0, np.inf, pulled)))
