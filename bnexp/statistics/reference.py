"""The reference implementation in float64 NumPy: every recurrence, right or wrong, and the outputs of a layer with it.

Nothing here runs TensorFlow, and no variant imports it. The conformance suite compares every variant with `simulate`;
the diagnosis compares what an unknown layer did with every entry of `RECURRENCES`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# called with the batches' values of a statistic [T, channels], the initial value of the moving statistic and the decay;
# returns the moving statistic after each batch, [T, channels] float64
Recurrence = Callable[[np.ndarray, float, float], np.ndarray]


@dataclass(frozen=True)
class Trace:
    """What a layer did in T training calls and then I inference calls.

    Attributes:
        moving_mean: the moving mean after each call, [T + I, channels]; [T + I, 0] if the layer keeps no statistics.
        moving_variance: the moving variance after each call, of the same shape.
        train_outputs: the output of each training call, [T, batch, ..., channels].
        inference_outputs: the output of each inference call, [I, batch, ..., channels].
    """

    moving_mean: np.ndarray
    moving_variance: np.ndarray
    train_outputs: np.ndarray
    inference_outputs: np.ndarray


def batch_axes(batch: np.ndarray) -> tuple[int, ...]:
    """Returns the axes over which a batch's moments are taken: all but the last.

    Args:
        batch: a layer's input, [batch, ..., channels].

    Example:
        >>> batch_axes(np.zeros([8, 2, 3, 4]))
        (0, 1, 2)
    """
    return tuple(range(batch.ndim - 1))


def batch_mean(batch: np.ndarray) -> np.ndarray:
    """Returns the mean of each channel, [channels] float64.

    Args:
        batch: a layer's input, [batch, ..., channels].

    Example:
        >>> batch_mean(np.array([[1.0, 5.0], [3.0, 5.0]]))
        array([2., 5.])
    """
    return np.asarray(np.asarray(batch, np.float64).mean(batch_axes(batch)))


def batch_variance(batch: np.ndarray, ddof: int = 0) -> np.ndarray:
    """Returns the variance of each channel, [channels] float64.

    Args:
        batch: a layer's input, [batch, ..., channels].
        ddof: 0 divides the sum of squares by the number n of values, 1 by n - 1 (Bessel's correction); for a single
            value by 1, as TensorFlow's fused kernel does.

    Example:
        >>> batch_variance(np.array([[1.0], [3.0]])), batch_variance(np.array([[1.0], [3.0]]), ddof=1)
        (array([1.]), array([2.]))
    """
    values = batch.size // batch.shape[-1]
    return np.asarray(np.asarray(batch, np.float64).var(batch_axes(batch)) * values / max(values - ddof, 1))


def ema(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """The exponential moving average: `moving = decay * moving + (1 - decay) * value`.

    Args:
        values: the statistic of each batch, [T, channels].
        initial: the value of `moving` before the first batch.
        decay: the weight of the old average, in [0, 1).

    Returns:
        `moving` after each batch, [T, channels] float64.

    Example:
        >>> ema(np.array([[1.0], [1.0]]), 0.0, 0.9)
        array([[0.1 ],
               [0.19]])
    """
    return _accumulate(values, initial, lambda moving, value: decay * moving + (1 - decay) * value)


def swapped(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """The average with decay and 1 - decay swapped: `moving = (1 - decay) * moving + decay * value`.

    Args:
        values: the statistic of each batch, [T, channels].
        initial: the value of `moving` before the first batch.
        decay: the weight of the old average, in [0, 1).

    Example:
        >>> swapped(np.array([[1.0], [1.0]]), 0.0, 0.9)
        array([[0.9 ],
               [0.99]])
    """
    return ema(values, initial, 1 - decay)


def double(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """The average applied twice per batch: the effective decay is `decay**2`.

    Args:
        values: the statistic of each batch, [T, channels].
        initial: the value of `moving` before the first batch.
        decay: the weight of the old average, in [0, 1).

    Example:
        >>> double(np.array([[1.0]]), 0.0, 0.9)
        array([[0.19]])
    """
    return ema(values, initial, decay**2)


def never(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """No update: `moving = initial`.

    Args:
        values: the statistic of each batch, [T, channels], which has no effect.
        initial: the value of `moving` before the first batch, and after each.
        decay: has no effect.

    Example:
        >>> never(np.array([[1.0], [3.0]]), 0.0, 0.9)
        array([[0.],
               [0.]])
    """
    return np.full(values.shape, initial, np.float64)


def copy(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """The statistic of the last batch: `moving = value`.

    Args:
        values: the statistic of each batch, [T, channels].
        initial: has no effect.
        decay: has no effect.

    Example:
        >>> copy(np.array([[1.0], [3.0]]), 0.0, 0.9)
        array([[1.],
               [3.]])
    """
    return np.asarray(values, np.float64)


def late(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """The average one batch late: `moving = decay * moving + (1 - decay) * previous value`.

    Args:
        values: the statistic of each batch, [T, channels].
        initial: the value of `moving` before the first batch.
        decay: the weight of the old average, in [0, 1).

    Example:
        >>> late(np.array([[1.0], [1.0]]), 0.0, 0.9)
        array([[0. ],
               [0.1]])
    """
    return ema(np.concatenate([np.full_like(values[:1], initial), values[:-1]]), initial, decay)


def zero_debias(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """The average from 0, debiased: `sum = decay * sum + (1 - decay) * value`, `moving = sum / (1 - decay**t)`.

    Unlike `ema` it does not depend on `initial`.

    Args:
        values: the statistic of each batch, [T, channels].
        initial: has no effect.
        decay: the weight of the old average, in (0, 1).

    Example:
        >>> zero_debias(np.array([[2.0], [2.0]]), 0.0, 0.9)
        array([[2.],
               [2.]])
    """
    return np.asarray(ema(values, 0.0, decay) / _weights(values, decay))


def debias_from_ones(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """`zero_debias` applied by mistake to an average that starts at `initial` and not at 0.

    Args:
        values: the statistic of each batch, [T, channels].
        initial: the value of `moving` before the first batch.
        decay: the weight of the old average, in [0, 1).

    Example:
        >>> debias_from_ones(np.array([[2.0]]), 1.0, 0.5)
        array([[3.]])
    """
    return np.asarray(ema(values, initial, decay) / _weights(values, decay))


def cumulative(values: np.ndarray, initial: float, decay: float) -> np.ndarray:
    """The mean of all values so far, each with the same weight.

    Args:
        values: the statistic of each batch, [T, channels].
        initial: has no effect.
        decay: has no effect.

    Example:
        >>> cumulative(np.array([[1.0], [3.0]]), 0.0, 0.9)
        array([[1.],
               [2.]])
    """
    return np.cumsum(values, axis=0) / np.arange(1, len(values) + 1).reshape(-1, *[1] * (values.ndim - 1))


def ema_num_updates(values: np.ndarray, initial: float, decay: float, first: int = 0) -> np.ndarray:
    """The average of tf.train.ExponentialMovingAverage with num_updates: decay is `min(decay, (1 + n) / (10 + n))`.

    Args:
        values: the statistic of each batch, [T, channels].
        initial: the value of `moving` before the first batch; little of it is left after a few batches.
        decay: the largest weight of the old average, in [0, 1).
        first: the number n of updates that is told with the first batch; it grows by 1 with each batch.

    Example:
        >>> ema_num_updates(np.array([[1.0], [1.0]]), 0.0, 0.9).round(3)
        array([[0.9  ],
               [0.982]])
    """
    counts = iter(range(first, first + len(values)))

    def update(moving: np.ndarray, value: np.ndarray) -> np.ndarray:
        n = next(counts)
        weight = min(decay, (1 + n) / (10 + n))
        return weight * moving + (1 - weight) * value

    return _accumulate(values, initial, update)


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
    """The moving variance of batch renormalisation: `sqrt(variance + epsilon)` is averaged from `sqrt(1 + epsilon)`.

    Args:
        variances: the variance of each batch, [T, channels].
        decay: the weight of the old average, in [0, 1).
        epsilon: added to each variance before its square root, and subtracted from the square of the average.

    Returns:
        The moving variance after each batch, [T, channels] float64.

    Example:
        >>> stddev_ema(np.array([[4.0]]), decay=0.5, epsilon=0.0)
        array([[2.25]])
    """
    stddev = ema(np.sqrt(variances + epsilon), np.sqrt(1 + epsilon), decay)
    return np.maximum(stddev**2 - epsilon, 0.0)


def ghost_moments(batch: np.ndarray, parts: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields the rows, the mean and the variance of each ghost batch.

    Args:
        batch: a layer's input, [batch, ..., channels].
        parts: the number of ghost batches; ghost batch p takes the rows p, p + parts, p + 2 * parts, ... Those without
            a row are left out.

    Yields:
        The row numbers [rows] int, and the mean and the variance (ddof 0) of these rows, each [channels] float64.

    Example:
        >>> [rows.tolist() for rows, mean, variance in ghost_moments(np.zeros([5, 3]), parts=2)]
        [[0, 2, 4], [1, 3]]
    """
    for part in range(min(parts, len(batch))):
        rows = np.arange(part, len(batch), parts)
        yield rows, batch_mean(batch[rows]), batch_variance(batch[rows])


def normalise(batch: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float) -> np.ndarray:
    """Returns `(batch - mean) / sqrt(variance + epsilon)` in float64.

    Args:
        batch: a layer's input, [batch, ..., channels].
        mean: the mean to subtract, [channels].
        variance: the variance to divide by, [channels].
        epsilon: added to the variance before its square root.

    Example:
        >>> normalise(np.array([[1.0], [3.0]]), np.array([2.0]), np.array([0.25]), epsilon=0.0)
        array([[-2.],
               [ 2.]])
    """
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
    """Returns what a layer with these traits must do, with gamma 1 and beta 0.

    Args:
        traits: what the variant claims about itself, a `bnexp.variant.Traits`.
        train_batches: the batch of each training call, T arrays [batch, ..., channels].
        inference_batches: the batch of each inference call, I arrays [batch, ..., channels].
        decay: the weight in [0, 1) that the old average keeps at an update.
        epsilon: added to a variance before its square root.
        options: the arguments that only some variants take: `parts`, `groups`, `rmax`, `dmax`.

    Returns:
        The moving statistics after each call and the outputs of each call, float64. Of a variant without statistics,
        moving mean and variance have no channels.

    Example:
        >>> batches = np.random.default_rng(0).normal(size=[20, 8, 3])
        >>> simulate(Traits(), batches, batches[:4], decay=0.9, epsilon=1e-3).moving_mean.shape
        (24, 3)
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
    """Repeats the last value until there is one for each call: the calls at the end update nothing."""
    return np.concatenate([series, np.repeat(series[-1:], calls - len(series), axis=0)])
