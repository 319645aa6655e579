"""Names what a layer normalised with, in training, at inference and in a gradient.

Every judgement is a comparison with a closed form of `bnexp.reference`, right or wrong, in float64. Outputs are
compared up to one gamma and one beta a channel, common to all calls.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from bnexp import reference
from bnexp.recurrence import GHOST_PARTS, TOLERANCE, close
from bnexp.reference import batch_mean, batch_variance

# what an output loses besides TOLERANCE: some spacings of the largest number it is the difference of
ROUNDING = 8 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Affine:
    """The gamma and the beta, [channels] each, that take normalised inputs to outputs."""

    gamma: np.ndarray
    beta: np.ndarray

    def agrees(self, other: "Affine") -> bool:
        """Tells whether two fits found the same ones."""
        return close(self.gamma, other.gamma, 10 * TOLERANCE) and close(self.beta, other.beta, 10 * TOLERANCE)


@dataclass(frozen=True)
class Normalised:
    """One call's inputs normalised in some way, and by how much float32 may miss it."""

    values: np.ndarray
    slack: np.ndarray


def acting_epsilon(training: Sequence[np.ndarray], outputs: Sequence[np.ndarray], asked: float) -> float:
    """Finds the epsilon that the batch is normalised with: 1 / slope**2 = (variance + epsilon) / gamma**2.

    Returns `asked` where no epsilon explains the outputs.
    """
    channel = 1  # of moderate mean and spread
    variances, inverse = [], []
    for batch, output in zip(training, outputs, strict=True):
        x, y = (np.asarray(a[..., channel], np.float64).ravel() for a in (batch, output))
        slope = np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2)
        variances.append(x.var())
        inverse.append(1 / slope**2 if slope else np.inf)
    if not np.all(np.isfinite(inverse)):
        return asked
    rate, offset = np.polyfit(variances, inverse, 1)
    found = float(offset / rate) if rate > 0 else -1.0
    return max(found, 0.0) if -TOLERANCE < found < 1 else asked


def normalised(batch: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float) -> Normalised:
    """Normalises one call's batch with the given statistics."""
    reach = (np.abs(np.asarray(batch, np.float64)) + np.abs(mean)) / np.sqrt(variance + epsilon)
    return Normalised(reference.normalise(batch, mean, variance, epsilon), ROUNDING * reach)


def with_own_moments(batch: np.ndarray, epsilon: float) -> Normalised:
    """Normalises one call's batch with its own statistics."""
    return normalised(batch, batch_mean(batch), batch_variance(batch), epsilon)


def with_ghosts(batch: np.ndarray, parts: int, epsilon: float) -> Normalised:
    """Normalises each interleaved part of one call's batch with its own statistics."""
    values, slack = np.empty(batch.shape), np.empty(batch.shape)
    for rows, mean, variance in reference.ghost_moments(batch, parts):
        part = normalised(batch[rows], mean, variance, epsilon)
        values[rows], slack[rows] = part.values, part.slack
    return Normalised(values, slack)


def fit(found: Iterable[np.ndarray], expected: Iterable[Normalised]) -> Affine | None:
    """Fits one gamma, not 0, and one beta a channel over all calls; None where they do not explain what was found."""
    calls = list(expected)
    outputs, values, slack = (
        np.concatenate([np.asarray(part, np.float64).reshape(-1, part.shape[-1]) for part in parts])
        for parts in (list(found), [call.values for call in calls], [call.slack for call in calls])
    )
    gammas, betas = [], []
    for y, x, allowed in zip(outputs.T, values.T, slack.T, strict=True):
        (gamma, beta), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)
        missed = np.abs(y - (gamma * x + beta))
        if abs(gamma) < TOLERANCE or np.any(missed > TOLERANCE * (1 + np.abs(y)) + abs(gamma) * allowed):
            return None
        gammas.append(gamma)
        betas.append(beta)
    return Affine(np.array(gammas), np.array(betas))


def affine_of(uses: str, batch: np.ndarray, output: np.ndarray, epsilon: float) -> Affine | None:
    """Fits gamma and beta of one training call that is known to normalise with its batch, or with parts of it."""
    if uses == "batch":
        return fit([output], [with_own_moments(batch, epsilon)])
    fits = [fit([output], [with_ghosts(batch, parts, epsilon)]) for parts in GHOST_PARTS if uses == "ghost"]
    return next((affine for affine in fits if affine is not None), None)


def training_uses(
    training: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    means: np.ndarray,
    variances: np.ndarray,
    epsilon: float,
) -> str:
    """Names what training calls normalise with: `"batch"`, `"moving"`, `"ghost"`, `"renorm"` or `"unknown"`.

    Args:
        training: T batches.
        outputs: what each call returned.
        means: [T + 1, channels], the moving mean before the first and after each call; no channels where none is kept.
        variances: likewise.
        epsilon: of the layer.
    """
    if fit(outputs, (with_own_moments(batch, epsilon) for batch in training)) is not None:
        return "batch"
    if not means.size:
        return "unknown"
    # before the update or after it, and perhaps one statistic of each
    for i, j in product((0, 1), repeat=2):
        statistics = zip(training, means[i:], variances[j:], strict=False)
        if fit(outputs, (normalised(b, m, v, epsilon) for b, m, v in statistics)) is not None:
            return "moving"
    for parts in GHOST_PARTS:
        if fit(outputs, (with_ghosts(batch, parts, epsilon) for batch in training)) is not None:
            return "ghost"
    return "renorm" if _is_renorm(training, outputs, means, variances, epsilon) else "unknown"


def _is_renorm(
    training: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    means: np.ndarray,
    variances: np.ndarray,
    epsilon: float,
) -> bool:
    """Tells whether outputs are the batch's times r plus d, each the true correction or a bound common to all calls."""
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
    # bounds lie around no correction at all: r = 1 and d = 0
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
    """Names what inference calls on single examples normalise with, each call having met other moving statistics.

    Args:
        singles: one example a call.
        outputs: what each call returned.
        before: moving mean and variance that each call met.
        after: those that it left.
        epsilon: of the layer.
        debias: what a layer that debiases as it reads would divide its statistics by.
        in_training: gamma and beta of training. A mean that a single example was averaged into differs from that of
            before by a factor of gamma alone, so of several ways that fit the one with these is taken.

    Returns:
        `"moving"`, `"moving_debiased"` or `"unknown"`, and gamma and beta.
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
    """Names how sum(weights * outputs) hangs on a batch that is normalised by itself: `"batch"`, `"constants"`, ...

    Args:
        batch: [batch, ..., channels].
        weights: of the same shape.
        gradient: with respect to the batch.
        epsilon: of the layer.
        gamma: with which the gradient was found, [channels].
    """
    if not np.any(gradient):
        return "nothing"
    own, axes = with_own_moments(batch, epsilon).values, reference.batch_axes(batch)
    weights = weights * gamma
    constants = weights / np.sqrt(batch_variance(batch) + epsilon)
    pull = weights.mean(axes, dtype=np.float64) + own * (weights * own).mean(axes)
    through = (weights - pull) / np.sqrt(batch_variance(batch) + epsilon)
    # the channel of large mean has no digits left in TensorFlow's own gradient
    for name, expected in (("batch", through), ("constants", constants)):
        if close(np.asarray(gradient[..., :-1], np.float64), expected[..., :-1], 100 * TOLERANCE):
            return name
    return "unknown"
