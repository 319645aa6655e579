"""The ruler: every recurrence in float64 NumPy, right and wrong, and what a layer with it returns call by call.

Nothing here runs TensorFlow, and no variant imports it. The conformance suite compares every variant with `simulate`;
the diagnosis compares what an unknown layer did with every entry of `RECURRENCES`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# a recurrence turns the sequences of a statistic's values, batch by batch, into the moving statistic after each
Recurrence = Callable[[np.ndarray, float, float], np.ndarray]


@dataclass(frozen=True)
class Trace:
    """What a layer did, call by call: T training calls, then I inference calls.

    Attributes:
        moving_mean: [T + I, channels], after each call.
        moving_variance: [T + I, channels], after each call.
        train_outputs: [T, batch, ..., channels].
        inference_outputs: [I, batch, ..., channels].
    """

    moving_mean: np.ndarray
    moving_variance: np.ndarray
    train_outputs: np.ndarray
    inference_outputs: np.ndarray


def batch_axes(batch: np.ndarray) -> tuple[int, ...]:
    """Returns every axis of `batch` [batch, ..., channels] but the last."""
    return tuple(range(batch.ndim - 1))


def batch_mean(batch: np.ndarray) -> np.ndarray:
    """Returns the mean of each channel, [channels] float64."""
    return np.asarray(np.asarray(batch, np.float64).mean(batch_axes(batch)))


def batch_variance(batch: np.ndarray, ddof: int = 0) -> np.ndarray:
    """Returns the variance of each channel, [channels] float64; a single value divides by 1, as in the fused kernel."""
    values = batch.size // batch.shape[-1]
    return np.asarray(np.asarray(batch, np.float64).var(batch_axes(batch)) * values / max(values - ddof, 1))


def ema(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """`moving = decay * moving + (1 - decay) * value`."""
    return _accumulate(values, initial, lambda moving, value: decay * moving + (1 - decay) * value)


def swapped(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """`moving = (1 - decay) * moving + decay * value`."""
    return ema(values, initial, 1 - decay)


def double(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """The average applied twice a step: the decay that acts is `decay**2`."""
    return ema(values, initial, decay**2)


def never(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """`moving = initial`."""
    return np.full(values.shape, initial, np.float64)


def copy(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """`moving = value`: the last batch's."""
    return np.asarray(values, np.float64)


def late(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """Each step averages the batch before: `moving = decay * moving + (1 - decay) * previous value`."""
    return ema(np.concatenate([np.full_like(values[:1], initial), values[:-1]]), initial, decay)


def zero_debias(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """`biased = decay * biased + (1 - decay) * value` from 0, and `moving = biased / (1 - decay**t)`."""
    return np.asarray(ema(values, 0.0, decay) / _weights(values, decay))


def debias_from_ones(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """Debiased as if from 0, though the hidden average starts at the initial value."""
    return np.asarray(ema(values, initial, decay) / _weights(values, decay))


def cumulative(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """`moving = mean of all values so far`."""
    return np.cumsum(values, axis=0) / np.arange(1, len(values) + 1).reshape(-1, *[1] * (values.ndim - 1))


RECURRENCES: dict[str, Recurrence] = {
    "ema": ema,
    "zero_debias": zero_debias,
    "cumulative": cumulative,
    "never": never,
    "double": double,
    "swapped": swapped,
    "late": late,
    "copy": copy,
    "debias_from_ones": debias_from_ones,
}


def stddev_ema(variances: np.ndarray, decay: float, epsilon: float) -> np.ndarray:
    """Moving variance of batch renormalisation: `stddev = sqrt(variance + epsilon)` is averaged, then squared back."""
    stddev = ema(np.sqrt(variances + epsilon), np.sqrt(1 + epsilon), decay)
    return np.maximum(stddev**2 - epsilon, 0.0)


def ghost_moments(batch: np.ndarray, parts: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields rows, mean and variance of each interleaved part `parts` of a batch that is not empty."""
    for part in range(min(parts, len(batch))):
        rows = np.arange(part, len(batch), parts)
        yield rows, batch_mean(batch[rows]), batch_variance(batch[rows])


def normalise(batch: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float) -> np.ndarray:
    """Returns `(x - mean) / sqrt(variance + epsilon)` in float64."""
    return np.asarray((batch - np.asarray(mean, np.float64)) / np.sqrt(variance + epsilon))


def simulate(
    traits: Any,
    train_batches: Sequence[np.ndarray],
    inference_batches: Sequence[np.ndarray],
    *,
    decay: float,
    epsilon: float,
    options: dict[str, Any] | None = None,
) -> Trace:
    """Returns what a layer with these traits must do, gamma 1 and beta 0.

    Args:
        traits: a variant's claims, `bnexp.variant.Traits`.
        train_batches: T arrays [batch, ..., channels].
        inference_batches: I arrays [batch, ..., channels].
        decay: of the averages.
        epsilon: added to variances.
        options: the variant's own arguments: `parts`, `groups`, `rmax`, `dmax`.

    Returns:
        The trace; of a variant without statistics, moving mean and variance have no channels.
    """
    options = options or {}
    rank = np.ndim(train_batches[0])
    updating = [*train_batches, *inference_batches] if traits.inference_updates else list(train_batches)
    parts = options.get("parts", 1)
    moments = [(batch_mean(b), batch_variance(b, traits.variance_ddof.get(rank, 0))) for b in updating]
    if traits.moving == "ghost_ema":
        ghosts = [list(ghost_moments(b, parts)) for b in updating]
        moments = [(np.mean([m for _, m, _ in g], 0), np.mean([v for _, _, v in g], 0)) for g in ghosts]
    means, variances = (np.array(column) for column in zip(*moments, strict=True))
    if traits.moving == "stddev_ema":
        moving_mean, moving_variance = ema(means, 0.0, decay), stddev_ema(variances, decay, epsilon)
    elif traits.moving == "ghost_ema":
        moving_mean, moving_variance = ema(means, 0.0, decay), ema(variances, 1.0, decay)
    elif traits.moving == "none":
        moving_mean = moving_variance = np.zeros([len(updating), 0])
    else:
        recurrence = RECURRENCES[traits.moving]
        moving_mean = recurrence(means, traits.initial_mean, decay)
        moving_variance = recurrence(variances, traits.initial_variance, decay)
    calls = len(train_batches) + len(inference_batches)
    moving_mean, moving_variance = (_hold(series, calls) for series in (moving_mean, moving_variance))
    before = [
        np.concatenate([np.full_like(series[:1], initial), series])
        for series, initial in ((moving_mean, traits.initial_mean), (moving_variance, traits.initial_variance))
    ]

    def outputs(batch: np.ndarray, call: int, uses: str) -> np.ndarray:
        mean, variance = before[0][call], before[1][call]
        if uses == "batch":
            return normalise(batch, batch_mean(batch), batch_variance(batch), epsilon)
        if uses == "moving":
            return normalise(batch, mean, variance, epsilon)
        if uses == "ghost":
            result = np.empty(batch.shape)
            for rows, part_mean, part_variance in ghost_moments(batch, parts):
                result[rows] = normalise(batch[rows], part_mean, part_variance, epsilon)
            return result
        if uses == "renorm":
            stddev, moving_stddev = np.sqrt(batch_variance(batch) + epsilon), np.sqrt(variance + epsilon)
            r = np.clip(stddev / moving_stddev, 1 / options["rmax"], options["rmax"])
            d = np.clip((batch_mean(batch) - mean) / moving_stddev, -options["dmax"], options["dmax"])
            return np.asarray(normalise(batch, batch_mean(batch), batch_variance(batch), epsilon) * r + d)
        if uses == "example":
            groups = np.gcd(options.get("groups", 1), batch.shape[-1])
            grouped = np.asarray(batch, np.float64).reshape(len(batch), -1, groups, batch.shape[-1] // groups)
            mean, variance = grouped.mean((1, 3), keepdims=True), grouped.var((1, 3), keepdims=True)
            return np.asarray((grouped - mean) / np.sqrt(variance + epsilon)).reshape(batch.shape)
        return np.asarray(batch, np.float64)

    trained = len(train_batches)
    return Trace(
        moving_mean,
        moving_variance,
        np.array([outputs(b, i, traits.training_uses) for i, b in enumerate(train_batches)]),
        np.array([outputs(b, trained + i, traits.inference_uses) for i, b in enumerate(inference_batches)]),
    )


def _accumulate(values: np.ndarray, initial: float, step: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    moving, series = np.full(values.shape[1:], initial, np.float64), []
    for value in np.asarray(values, np.float64):
        moving = step(moving, value)
        series.append(moving)
    return np.array(series)


def _weights(values: np.ndarray, decay: float) -> np.ndarray:
    steps = np.arange(1, len(values) + 1).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(1 - np.power(decay, steps))


def _hold(series: np.ndarray, calls: int) -> np.ndarray:
    """Repeats the last value for the calls that update nothing."""
    return np.concatenate([series, np.repeat(series[-1:], calls - len(series), axis=0)])
