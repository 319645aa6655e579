"""A second ruler, by another hand: what a layer must do, one call at a time, from its traits alone, in float64.

`bnexp.statistics.reference` works on whole series and writes recurrences; this one never looks at it, keeps a history,
and writes every average as the sum of its weights. A slip would have to be made twice, in two ways, to pass unseen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import fsum, gcd, sqrt
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Call:
    """What one call may do. More than one entry in a list: the graph orders nothing, and each order is as good.

    Attributes:
        means: moving mean after the call, each [channels].
        variances: moving variance after the call.
        outputs: each of the batch's shape.
        reach: of the batch's shape; how many of the standard deviations that divide them the numbers are away from 0,
            before and after centring. float32 loses digits in proportion to it.
    """

    means: list[np.ndarray]
    variances: list[np.ndarray]
    outputs: list[np.ndarray]
    reach: np.ndarray


class Layer:
    """One layer and its state.

    Args:
        traits: what it claims.
        channels: of its inputs.
        decay: of its averages.
        epsilon: added to variances.
        options: `parts`, `groups`, `rmax`, `dmax`.
        gamma: [channels], 1 by default.
        beta: [channels], 0 by default.
    """

    def __init__(
        self,
        traits: Any,
        *,
        channels: int,
        decay: float,
        epsilon: float,
        options: Mapping[str, Any] | None = None,
        gamma: Any = 1.0,
        beta: Any = 0.0,
    ) -> None:
        self.traits, self.decay, self.epsilon, self.options = traits, decay, epsilon, dict(options or {})
        self.affine = (1.0, 0.0) if traits.training_uses == "nothing" else (np.float64(gamma), np.float64(beta))
        keeps = 0 if traits.moving == "none" else channels
        self.mean = self.first_mean = np.full(keeps, traits.initial_mean, np.float64)
        self.variance = self.first_variance = np.full(keeps, traits.initial_variance, np.float64)
        self.history: list[tuple[np.ndarray, np.ndarray]] = []

    def train(self, batch: np.ndarray) -> Call:
        """One training step."""
        return self._call(batch, self.traits.training_uses, updates=True)

    def infer(self, batch: np.ndarray) -> Call:
        """One inference call."""
        return self._call(batch, self.traits.inference_uses, updates=self.traits.inference_updates)

    def settle(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """Goes on from what an unordered layer was seen to do."""
        self.mean, self.variance = np.float64(mean), np.float64(variance)

    def input_gradient(self, batch: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Returns the gradient of sum(weights * outputs) with respect to a training batch."""
        uses, back = self.traits.training_uses, np.float64(weights) * self.affine[0]
        if uses == "nothing":
            return back
        if uses == "moving":
            return back / np.sqrt(self.variance + self.epsilon)
        normalised, _, stddev = self._by_sets(batch, uses)
        gradient = np.empty(batch.shape)
        for members in self._sets(batch.shape, uses):
            pull = back[members].mean() + normalised[members] * (back[members] * normalised[members]).mean()
            gradient[members] = (back[members] - pull) / stddev[members]
        return gradient * self._corrections(batch)[0] if uses == "renorm" else gradient

    def _call(self, batch: np.ndarray, uses: str, *, updates: bool) -> Call:
        before = self.mean, self.variance
        means, variances = [self.mean], [self.variance]
        if updates and self.traits.moving not in ("never", "none"):
            means, variances = self._moved(batch)
            self.mean, self.variance = means[0], variances[0]
        if uses == "moving":
            # an unordered read may come before the write or after it, and for each statistic by itself
            unordered = updates and not self.traits.ordered
            choices = [
                [old, new] if unordered else [old] for old, new in zip(before, (means[0], variances[0]), strict=True)
            ]
            pairs = [(mean, sqrt_of(variance + self.epsilon)) for mean, variance in product(*choices)]
            outputs = [(batch - mean) / stddev for mean, stddev in pairs]
            farthest, narrowest = np.max([np.abs(m) for m, _ in pairs], 0), np.min([s for _, s in pairs], 0)
            reach = (np.abs(batch) + farthest) / narrowest
        elif uses == "nothing":
            outputs, reach = [np.float64(batch)], np.abs(np.float64(batch))
        else:
            normalised, largest, stddev = self._by_sets(batch, uses)
            outputs, reach = [normalised], 2 * largest / stddev
            if uses == "renorm":
                r, d = self._corrections(batch, *before)
                outputs = [normalised * r + d]
                reach = reach * r + (largest + np.abs(before[0])) / np.sqrt(before[1] + self.epsilon)
        gamma, beta = self.affine
        return Call(means, variances, [gamma * y + beta for y in outputs], np.abs(gamma) * reach + np.abs(beta))

    def _corrections(self, batch: np.ndarray, mean: Any = None, variance: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Batch renormalisation's r and d, from the statistics of before the step."""
        mean, variance = (self.mean if mean is None else mean), (self.variance if variance is None else variance)
        rmax, dmax = self.options["rmax"], self.options["dmax"]
        own_mean, own_variance = moments(batch)
        r, d = np.empty_like(own_mean), np.empty_like(own_mean)
        for c in range(len(own_mean)):
            moving_stddev = sqrt(variance[c] + self.epsilon)
            r[c] = min(max(sqrt(own_variance[c] + self.epsilon) / moving_stddev, 1 / rmax), rmax)
            d[c] = min(max((own_mean[c] - mean[c]) / moving_stddev, -dmax), dmax)
        return r, d

    def _moved(self, batch: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Moving statistics after averaging one more batch."""
        kind, decay = self.traits.moving, self.decay
        if kind == "ghost_ema":
            parts = [batch[rows :: self.options["parts"]] for rows in range(min(self.options["parts"], len(batch)))]
            each = [moments(part) for part in parts]
            mean, variance = (sum(column) / len(parts) for column in zip(*each, strict=True))
        else:
            mean, variance = moments(batch, self.traits.variance_ddof.get(batch.ndim, 0))
        previous = self.history[-1] if self.history else (self.first_mean, self.first_variance)
        self.history.append((mean, variance))
        if kind == "late":  # whichever of the two batches the average happens to see
            return tuple(
                [decay * moving + (1 - decay) * value for value in values]
                for moving, values in zip(
                    (self.mean, self.variance), zip((mean, variance), previous, strict=True), strict=False
                )
            )
        means, variances = (list(column) for column in zip(*self.history, strict=True))
        if kind == "stddev_ema":
            stddevs = [np.sqrt(v + self.epsilon) for v in variances]
            stddev = weighted(stddevs, decay, sqrt(1 + self.epsilon))
            return [weighted(means, decay, self.first_mean)], [np.maximum(stddev**2 - self.epsilon, 0)]
        return (
            [average(kind, means, decay, self.first_mean)],
            [average(kind, variances, decay, self.first_variance)],
        )

    def _by_sets(self, batch: np.ndarray, uses: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns each number normalised with the set it belongs to, its set's largest number, and what divided it."""
        normalised, largest, stddev = np.empty(batch.shape), np.empty(batch.shape), np.empty(batch.shape)
        for members in self._sets(batch.shape, uses):
            mean, variance = moments(batch[members].reshape(-1, 1))
            stddev[members] = np.sqrt(variance + self.epsilon)
            normalised[members] = (batch[members] - mean) / stddev[members]
            largest[members] = np.abs(batch[members]).max()
        return normalised, largest, stddev

    def _sets(self, shape: tuple[int, ...], uses: str) -> list[np.ndarray]:
        """Returns the sets of numbers that are normalised together, each as a mask of the batch's shape."""
        row, channel = np.indices(shape)[0], np.indices(shape)[-1]
        if uses == "example":
            groups = gcd(self.options.get("groups", 1), shape[-1])
            label = row * groups + channel // (shape[-1] // groups)
        elif uses == "ghost":
            label = (row % self.options["parts"]) * shape[-1] + channel
        else:
            label = channel
        return [label == number for number in np.unique(label)]


def moments(batch: np.ndarray, ddof: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and variance of each channel of [..., channels], from exact sums; one value divides by 1."""
    columns = np.float64(batch).reshape(-1, batch.shape[-1]).T
    means = [fsum(column) / len(column) for column in columns]
    squares = [fsum((column - mean) ** 2) for column, mean in zip(columns, means, strict=True)]
    return np.array(means), np.array(squares) / max(columns.shape[1] - ddof, 1)


def weighted(values: Sequence[Any], decay: float, start: Any) -> np.ndarray:
    """Returns decay**t * start + (1 - decay) * sum of decay**age * value: the plain average, as its weights."""
    t = len(values)
    return np.float64(decay**t * start + (1 - decay) * sum(decay ** (t - 1 - i) * v for i, v in enumerate(values)))


def average(kind: str, values: Sequence[Any], decay: float, start: Any) -> np.ndarray:
    """Returns where t values take a statistic that began at `start`."""
    t = len(values)
    if kind == "ema" or kind == "ghost_ema":
        return weighted(values, decay, start)
    if kind == "swapped":
        return weighted(values, 1 - decay, start)
    if kind == "double":
        return weighted(values, decay * decay, start)
    if kind == "zero_debias":
        return np.float64(sum(decay ** (t - 1 - i) * v for i, v in enumerate(values)) / sum(decay**i for i in range(t)))
    if kind == "debias_from_ones":
        return weighted(values, decay, start) / (1 - decay**t)
    raise ValueError(f"no average is called {kind!r}")


def sqrt_of(values: np.ndarray) -> np.ndarray:
    """Returns the root of each channel."""
    return np.array([sqrt(value) for value in values])
