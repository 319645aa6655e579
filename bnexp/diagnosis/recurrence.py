"""Names the recurrence, right or wrong, that a moving statistic follows.

All steps of the statistic are compared in float64 with the recurrences of `bnexp.statistics.reference`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bnexp.diagnosis.ghosts import CUTS
from bnexp.statistics import reference
from bnexp.statistics.reference import batch_mean, batch_variance

# float32 has seven digits; after a few hundred operations about five are right
TOLERANCE = 1e-4

# the decays that are tried where a layer has its own
USUAL_DECAYS = (0.9, 0.99, 0.95, 0.999, 0.98, 0.997, 0.9997, 0.9999, 0.5)

# a layer that takes no decay, and whose own is smaller, is taken to have swapped it with 1 - decay
SWAPPED_BELOW = 0.35

# the largest decay that is told from an average of equal weights
NEAREST_TO_1 = 0.99999

# a variance that is wrong where the mean is large is reported from this relative error on: what float32 loses by
# E[x**2] - E[x]**2 there, and no other formula
IMPRECISE = 3e-4


@dataclass(frozen=True)
class Recurrence:
    """How a statistic moved.

    Attributes:
        name: a key of `reference.RECURRENCES`, `"ema_num_updates"`, `"stddev_ema"`, `"ghost_ema"`, `"ghost_steps"`,
            `"ema_of_another_decay"` or `"unknown"`.
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
                own = decay is None and name == "ema" and candidate < SWAPPED_BELOW
                if own:
                    return Recurrence("copy" if candidate < TOLERANCE else "swapped", candidate)
                return Recurrence(name, candidate)
    if 0 <= acting < 1 and close(series[1:], reference.ema(values, start, acting)):
        return Recurrence("ema_of_another_decay", acting)
    for candidate in USUAL_DECAYS if decay is None else ():
        # in float32, 1 - decay**t has lost digits that an own decay near 1 cannot be found without
        lost = 4 * float(np.finfo(np.float32).eps) / (1 - candidate)
        if close(series[1:], reference.zero_debias(values, start, candidate), max(lost, TOLERANCE)):
            return Recurrence("zero_debias", candidate)
    return _of_changing_weights(series, values, decay) or Recurrence("unknown", acting)


def mean_recurrence(series: np.ndarray, training: Sequence[np.ndarray], decay: float | None) -> Recurrence:
    """Names the recurrence of the moving mean.

    Args:
        series: the moving mean before the first and after each training call, [T + 1, channels].
        training: the batch of each training call, T arrays [batch, ..., channels] float32.
        decay: the decay that the layer was given; None if it takes none.

    Example:
        >>> batches = np.random.default_rng(0).normal(5, 2, [6, 8, 3])
        >>> values = np.array([batch_mean(batch) for batch in batches])
        >>> series = np.concatenate([np.zeros([1, 3]), reference.cumulative(values, 0.0, 0.9)])
        >>> mean_recurrence(series, batches, 0.9).name
        'cumulative'
    """
    found = recurrence(series, np.array([batch_mean(batch) for batch in training]), decay)
    return found if found.name != "unknown" else _of_ghosts(series, training, batch_mean, decay) or found


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
                imprecise = 0.0 if channels == slice(None) else _excess(found, series, values)
                return Recurrence(found.name, found.decay, ddof, imprecise)
    biased = np.array([batch_variance(batch) for batch in training])
    if close(series[1:], reference.stddev_ema(biased, mean_decay, epsilon)):
        return Recurrence("stddev_ema", mean_decay)
    return _of_ghosts(series, training, batch_variance, decay or mean_decay) or Recurrence("unknown")


def _of_changing_weights(series: np.ndarray, values: np.ndarray, decay: float | None) -> Recurrence | None:
    """Names an average whose weights change from step to step; None if it is none that is known."""
    steps, pulls = np.diff(series, axis=0), values - series[:-1]
    weights = np.sum(steps * pulls, axis=1) / np.sum(pulls**2, axis=1)
    if not close(series[1:], series[:-1] + weights[:, None] * pulls) or np.any(weights <= 0):
        return None
    step = np.arange(len(weights))
    if np.allclose(1 / weights, 1 / weights[0] + step, rtol=0.01):
        return Recurrence("cumulative", 1.0)
    start, most = float(series[0].flat[0]), decay if decay is not None else float(1 - weights.min())
    for first in (0, 1, 2):
        if close(series[1:], reference.ema_num_updates(values, start, most, first)):
            return Recurrence("ema_num_updates", most)
    return None


def _of_ghosts(
    series: np.ndarray,
    training: Sequence[np.ndarray],
    moment: Callable[[np.ndarray], np.ndarray],
    decay: float | None,
) -> Recurrence | None:
    """Names an average over ghost batches: of their mean, or a step for each; None if it is neither."""
    start = float(series[0].flat[0])
    for candidate in (decay,) if decay is not None else USUAL_DECAYS:
        for cut in CUTS:
            ghosts = [cut.moments(batch, moment) for batch in training]
            if close(series[1:], reference.ema(np.array([g.mean(0) for g in ghosts]), start, candidate)):
                return Recurrence("ghost_ema", candidate)
            ends = np.cumsum([len(g) for g in ghosts]) - 1
            if close(series[1:], reference.ema(np.concatenate(ghosts), start, candidate)[ends]):
                return Recurrence("ghost_steps", candidate)
    return None


def _excess(found: Recurrence, series: np.ndarray, values: np.ndarray) -> float:
    """Returns the largest relative error of the last channel against the recurrence; 0 if all channels follow it."""
    formula = reference.RECURRENCES.get(found.name, reference.ema)
    if found.name == "ema_num_updates":
        formula = reference.ema_num_updates
    expected = formula(values, float(series[0].flat[0]), found.decay)
    error = float(np.max(np.abs(series[1:, -1] - expected[:, -1]) / np.maximum(expected[:, -1], TOLERANCE)))
    return error if error > IMPRECISE else 0.0


def _debiased_decay(series: np.ndarray, values: np.ndarray) -> float:
    """Returns the decay for which a debiased average's second value is (decay * first + second) / (decay + 1)."""
    pulled = series[2] - values[0]
    found = float(np.median((values[1] - series[2]) / np.where(pulled == 0, np.inf, pulled)))
    # of a decay near 1, rounding may make a little more than 1
    return min(found, NEAREST_TO_1) if found < 1.01 else found
