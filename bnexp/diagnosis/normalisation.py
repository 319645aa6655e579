"""Finds out what a layer normalised with, in training and at inference, and what its gradient takes into account.

Outputs are compared in float64 with those of `bnexp.statistics.reference`, up to one gamma and one beta per channel
that are common to all calls.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bnexp.diagnosis.ghosts import CUTS, Cut
from bnexp.diagnosis.recurrence import TOLERANCE, close
from bnexp.statistics import reference
from bnexp.statistics.reference import batch_mean, batch_variance

# error allowed in an output besides TOLERANCE, as a fraction of the largest number that enters its subtraction
ROUNDING = 8 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Affine:
    """The scale and shift that turn normalised inputs into outputs.

    Attributes:
        gamma: the scale of each channel, [channels] float64; NaN if an activation hides the channel.
        beta: the shift of each channel, [channels] float64.
    """

    gamma: np.ndarray
    beta: np.ndarray

    def agrees(self, other: "Affine") -> bool:
        """Tells whether another fit found the same gamma and beta, up to ten times TOLERANCE, where both are known."""
        known = np.isfinite(self.gamma) & np.isfinite(other.gamma)
        pairs = ((self.gamma, other.gamma), (self.beta, other.beta))
        return all(close(own[known], others[known], 10 * TOLERANCE) for own, others in pairs)


@dataclass(frozen=True)
class Normalised:
    """The inputs of one call, normalised in some way.

    Attributes:
        values: the normalised inputs, [batch, ..., channels] float64.
        slack: the error that float32 may make in each of them, of the same shape.
    """

    values: np.ndarray
    slack: np.ndarray


def acting_epsilon(training: Sequence[np.ndarray], outputs: Sequence[np.ndarray], asked: float) -> float:
    """Finds the epsilon with which training calls normalise, from 1 / slope**2 = (variance + epsilon) / gamma**2.

    The slope is that of a call's outputs over its inputs, in one channel.

    Args:
        training: the batch of each training call, [batch, ..., channels] float32.
        outputs: the output of each training call, of the same shape; NaN where it is not known.
        asked: the value to return if no epsilon in [0, 1) explains the outputs.

    Example:
        >>> batches = np.random.default_rng(0).normal(5, 2, [4, 8, 3])
        >>> outputs = [with_own_moments(batch, 0.1).values for batch in batches]
        >>> round(acting_epsilon(batches, outputs, asked=0.5), 6)
        0.1
    """
    channel = 1  # one with a moderate mean and spread
    variances, inverse = [], []
    for batch, output in zip(training, outputs, strict=True):
        x, y = (np.asarray(a[..., channel], np.float64).ravel() for a in (batch, output))
        seen = np.isfinite(y)
        if seen.sum() < 3:
            return asked
        variances.append(x.var())
        x, y = x[seen], y[seen]
        slope = np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2)
        inverse.append(1 / slope**2 if slope else np.inf)
    if not np.all(np.isfinite(inverse)):
        return asked
    rate, offset = np.polyfit(variances, inverse, 1)
    found = float(offset / rate) if rate > 0 else -1.0
    return max(found, 0.0) if -TOLERANCE < found < 1 else asked


def normalised(batch: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float) -> Normalised:
    """Normalises a batch with given statistics.

    Args:
        batch: the inputs of one call, [batch, ..., channels].
        mean: the mean to subtract, [channels].
        variance: the variance to divide by, [channels].
        epsilon: added to the variance before its square root.

    Example:
        >>> normalised(np.array([[1.0], [3.0]]), np.array([2.0]), np.array([1.0]), 0.0).values
        array([[-1.],
               [ 1.]])
    """
    with np.errstate(all="ignore"):  # a wrong layer's variance may be 0 or negative, with which nothing then fits
        reach = (np.abs(np.asarray(batch, np.float64)) + np.abs(mean)) / np.sqrt(variance + epsilon)
        return Normalised(reference.normalise(batch, mean, variance, epsilon), ROUNDING * reach)


def with_own_moments(batch: np.ndarray, epsilon: float) -> Normalised:
    """Normalises a batch with its own mean and variance, as `normalised` with given ones.

    Args:
        batch: the inputs of one call, [batch, ..., channels].
        epsilon: added to the variance before its square root.

    Example:
        >>> with_own_moments(np.array([[1.0], [3.0]]), 0.0).values
        array([[-1.],
               [ 1.]])
    """
    return normalised(batch, batch_mean(batch), batch_variance(batch), epsilon)


def with_ghosts(batch: np.ndarray, cut: Cut, epsilon: float) -> Normalised:
    """Normalises each ghost batch of a batch with its own moments.

    Args:
        batch: the inputs of one call, [batch, ..., channels].
        cut: how the batch is cut into ghost batches.
        epsilon: added to the variance before its square root.

    Example:
        >>> with_ghosts(np.array([[1.0], [5.0], [3.0], [9.0]]), Cut(parts=2), 0.0).values.ravel()
        array([-1., -1.,  1.,  1.])
    """
    values, slack = np.empty(batch.shape), np.empty(batch.shape)
    for rows in cut.rows(len(batch)):
        part = with_own_moments(batch[rows], epsilon)
        values[rows], slack[rows] = part.values, part.slack
    return Normalised(values, slack)


def fit(found: Iterable[np.ndarray], expected: Iterable[Normalised]) -> Affine | None:
    """Fits one gamma and one beta per channel to the outputs of all calls.

    Args:
        found: the output of each call, [batch, ..., channels] float32; NaN where it is not known.
        expected: the normalised inputs of each call.

    Returns:
        The gamma and beta; None if no gamma other than 0 explains all outputs.

    Example:
        >>> batch = np.array([[1.0], [3.0]])
        >>> fit([2 * batch + 1], [normalised(batch, np.array([2.0]), np.array([1.0]), 0.0)])
        Affine(gamma=array([2.]), beta=array([5.]))
    """
    calls = list(expected)
    outputs, values, slack = (
        np.concatenate([np.asarray(part, np.float64).reshape(-1, part.shape[-1]) for part in parts])
        for parts in (list(found), [call.values for call in calls], [call.slack for call in calls])
    )
    if np.any(np.isinf(outputs)) or not np.all(np.isfinite(values)):
        return None
    gammas, betas = [], []
    for every, normal, rounding in zip(outputs.T, values.T, slack.T, strict=True):
        seen = ~np.isnan(every)
        if seen.sum() < 2:
            gammas.append(np.nan)
            betas.append(np.nan)
            continue
        y, x, allowed = every[seen], normal[seen], rounding[seen]
        (gamma, beta), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)
        missed = np.abs(y - (gamma * x + beta))
        if abs(gamma) < TOLERANCE or np.any(missed > TOLERANCE * (1 + np.abs(y)) + abs(gamma) * allowed):
            return None
        gammas.append(gamma)
        betas.append(beta)
    return Affine(np.array(gammas), np.array(betas)) if np.any(np.isfinite(gammas)) else None


def affine_of(uses: str, batch: np.ndarray, output: np.ndarray, epsilon: float) -> Affine | None:
    """Fits gamma and beta to one training call.

    Args:
        uses: what training normalises with, as `training_uses` names it.
        batch: the inputs of the call, [batch, ..., channels] float32.
        output: the output of the call, of the same shape.
        epsilon: added by the layer to a variance before its square root.

    Returns:
        The gamma and beta; None if they do not explain the output, or if `uses` is neither `"batch"` nor `"ghost"`.

    Example:
        >>> batch = np.random.default_rng(0).normal(5, 2, [8, 3])
        >>> affine_of("batch", batch, 2 * with_own_moments(batch, 0.1).values + 1, 0.1).gamma
        array([2., 2., 2.])
    """
    if uses == "batch":
        return fit([output], [with_own_moments(batch, epsilon)])
    fits = [fit([output], [with_ghosts(batch, cut, epsilon)]) for cut in CUTS if uses == "ghost"]
    return next((affine for affine in fits if affine is not None), None)


def training_uses(
    training: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    means: np.ndarray,
    variances: np.ndarray,
    epsilon: float,
) -> str:
    """Names what training calls normalise with.

    Args:
        training: the batch of each training call, T arrays [batch, ..., channels] float32.
        outputs: the output of each training call, of the same shapes.
        means: the moving mean before the first and after each call, [T + 1, channels]; [T + 1, 0] if none is kept.
        variances: the moving variance, of the same shape.
        epsilon: added by the layer to a variance before its square root.

    Returns:
        `"batch"`, `"moving"`, `"ghost"`, `"renorm"` or `"unknown"`.

    Example:
        >>> batches = np.random.default_rng(0).normal(5, 2, [4, 8, 3])
        >>> outputs = [with_own_moments(batch, 0.1).values for batch in batches]
        >>> training_uses(batches, outputs, np.zeros([5, 3]), np.ones([5, 3]), 0.1)
        'batch'
    """
    if fit(outputs, (with_own_moments(batch, epsilon) for batch in training)) is not None:
        return "batch"
    if not means.size:
        return "unknown"
    # each statistic may be read before or after the call's update
    for i, j in product((0, 1), repeat=2):
        statistics = zip(training, means[i:], variances[j:], strict=False)
        if fit(outputs, (normalised(b, m, v, epsilon) for b, m, v in statistics)) is not None:
            return "moving"
    for cut in CUTS:
        if fit(outputs, (with_ghosts(batch, cut, epsilon) for batch in training)) is not None:
            return "ghost"
    return "renorm" if _is_renorm(training, outputs, means, variances, epsilon) else "unknown"


def _is_renorm(
    training: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    means: np.ndarray,
    variances: np.ndarray,
    epsilon: float,
) -> bool:
    """Tells whether outputs are those of batch renormalisation: the normalised batch times r plus d.

    r and d must be the corrections that follow from the moving statistics, clipped to bounds common to all calls.
    """
    r, d, true_r, true_d = [], [], [], []
    for batch, output, mean, variance in zip(training, outputs, means, variances, strict=False):
        stddev, moving_stddev = np.sqrt(batch_variance(batch) + epsilon), np.sqrt(variance + epsilon)
        own, axes = with_own_moments(batch, epsilon), reference.batch_axes(batch)
        d.append(output.mean(axes, dtype=np.float64))
        r.append((own.values * (output - d[-1])).sum(axes) / (own.values**2).sum(axes))
        if np.any(np.abs(output - (own.values * r[-1] + d[-1])) > TOLERANCE * (1 + np.abs(output)) + r[-1] * own.slack):
            return False
        true_r.append(stddev / moving_stddev)
        true_d.append((batch_mean(batch) - mean) / moving_stddev)
    found_r, found_d, exact_r, exact_d = (np.array(x).ravel() for x in (r, d, true_r, true_d))
    # bounds always include r = 1 and d = 0, which is no correction
    bounded_r = np.clip(exact_r, min(found_r.min(), 1.0), max(found_r.max(), 1.0))
    bounded_d = np.clip(exact_d, min(found_d.min(), 0.0), max(found_d.max(), 0.0))
    return close(found_r, bounded_r, 10 * TOLERANCE) and close(found_d, bounded_d, 10 * TOLERANCE)


def inference_uses(
    singles: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    before: Sequence[Sequence[np.ndarray]],
    after: Sequence[Sequence[np.ndarray]],
    epsilon: float,
    debias: float,
    in_training: Affine | None,
) -> tuple[str, Affine | None]:
    """Names what inference calls on single examples normalise with; each call must start from other moving statistics.

    Args:
        singles: the input of each call, [1, ..., channels] float32.
        outputs: the output of each call, of the same shape.
        before: the moving mean and the moving variance before each call, [channels] each.
        after: the moving mean and the moving variance after each call, [channels] each.
        epsilon: added by the layer to a variance before its square root.
        debias: the number by which a layer that debiases its statistics when it reads them would divide.
        in_training: the gamma and beta of training; None if they are not known. Where statistics before and after an
            update fit equally well with different gammas, those that agree with this one are taken.

    Returns:
        `"moving"`, `"moving_debiased"` or `"unknown"`; and the gamma and beta, None if unknown.

    Example:
        >>> singles = np.random.default_rng(0).normal(5, 2, [4, 1, 3])
        >>> met = [[np.full(3, float(i)), np.full(3, 1.0 + i)] for i in range(4)]
        >>> outputs = [reference.normalise(x, *statistics, 0.1) for x, statistics in zip(singles, met)]
        >>> inference_uses(singles, outputs, met, met, 0.1, 0.5, None)[0]
        'moving'
    """
    found: list[tuple[str, Affine | None]] = []
    for i, j in product((0, 1), repeat=2):
        met = [(choice[i][0], choice[j][1]) for choice in zip(before, after, strict=True)]
        for name, weight in (("moving", 1.0), ("moving_debiased", debias)):
            calls = (normalised(x, m / weight, v / weight, epsilon) for x, (m, v) in zip(singles, met, strict=True))
            affine = fit(outputs, calls)
            if affine is not None and (in_training is None or affine.agrees(in_training)):
                return name, affine
            found += [(name, affine)] if affine is not None else []
    return found[0] if found else ("unknown", None)


def gradient_uses(
    batch: np.ndarray, weights: np.ndarray, gradient: np.ndarray, epsilon: float, gamma: np.ndarray
) -> str:
    """Names what the gradient of sum(weights * outputs) takes into account, if a batch is normalised with itself.

    Args:
        batch: the inputs, [batch, ..., channels] float32.
        weights: the weights of the outputs, of the same shape.
        gradient: the gradient with respect to the inputs, of the same shape, as TensorFlow computed it.
        epsilon: added by the layer to a variance before its square root.
        gamma: the layer's gamma at that time, [channels].

    Returns:
        `"batch"` (mean and variance depend on the inputs), `"constants"` (they are taken for constants), `"nothing"`
        (the gradient is 0) or `"unknown"`.

    Example:
        >>> batch, weights = np.random.default_rng(0).normal(5, 2, [2, 8, 3])
        >>> gradient_uses(batch, weights, np.zeros([8, 3]), 0.1, np.ones(3))
        'nothing'
    """
    if not np.any(gradient):
        return "nothing"
    own, axes = with_own_moments(batch, epsilon).values, reference.batch_axes(batch)
    weights = weights * gamma
    constants = weights / np.sqrt(batch_variance(batch) + epsilon)
    pull = weights.mean(axes, dtype=np.float64) + own * (weights * own).mean(axes)
    through = (weights - pull) / np.sqrt(batch_variance(batch) + epsilon)
    # without the last channel, whose large mean leaves TensorFlow's own gradient no digits
    for name, expected in (("batch", through), ("constants", constants)):
        if close(np.asarray(gradient[..., :-1], np.float64), expected[..., :-1], 100 * TOLERANCE):
            return name
    return "unknown"
