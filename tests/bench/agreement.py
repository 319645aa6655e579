"""Whether everybody does the same work: nothing is timed before the losses agree."""

from collections.abc import Mapping

import numpy as np

# steps that are compared
STEPS = 50

# A pre-activation of the first layer is a sum of 784 products, each rounded by 6e-8, as often up as down:
# sqrt(784) * 6e-8 = 1.7e-6 of its terms' size, which normalising by a spread of about a third of that size turns into
# 5e-6. Each of the steps adds as much to the weights, in the worst case always in one direction.
TOLERANCE = STEPS * 5e-6

# A ReLU's gradient jumps at 0. Where rounding puts an input on the other side, one position of one example counts or
# does not, and from there on two trainings part: scaling the kernels by 1 + 1e-7 alone moves bnexp's own losses by 1e-4
# of their size within fifty steps of sixteen examples, and sums in another order by 1e-3.
# The first steps agree as a network without kinks does.
KINKS_TOLERANCE = 5e-3
BEFORE_KINKS = 5

# of a final pass: a hidden value is off by 5e-6 a layer (see above); weights are the same, so nothing grows
MOMENTS_TOLERANCE = 1e-4

# A peer may add up a batch's values in float32 one after the other, as PyTorch does with channels last: 64 images of
# 28 by 28 are 50,176 terms, and each addition rounds by up to 6e-8 of the sum so far.
SUMS_TOLERANCE = 64 * 28 * 28 * 6e-8

Moments = Mapping[str, tuple[np.ndarray, np.ndarray]]


class WorksDifferently(Exception):
    """A contender does not do the same work."""


def check_losses(name: str, losses: np.ndarray, expected: np.ndarray, *, block: int = 1, kinks: bool = False) -> float:
    """Returns the largest difference from bnexp's losses, relative to bnexp's first one.

    Args:
        name: of the contender.
        losses: [steps], or more than are compared.
        expected: bnexp's.
        block: steps whose mean is compared; whole blocks only.
        kinks: whether the network has ReLUs.

    Raises:
        WorksDifferently: they differ by more than TOLERANCE, or there are none.
    """
    steps = min(STEPS, len(losses), len(expected)) // block * block
    if not steps:
        raise WorksDifferently(f"{name} has no {block} steps to compare.")
    one, other = (array[:steps].reshape(-1, block).mean(axis=1) for array in (losses, expected))
    what, scale = f"{name}: its training losses", float(expected[0])
    if not kinks:
        return _check(what, one, other, scale=scale, tolerance=TOLERANCE)
    first = BEFORE_KINKS // block
    _check(what, one[:first], other[:first], scale=scale, tolerance=TOLERANCE)
    return _check(what, one, other, scale=scale, tolerance=KINKS_TOLERANCE)


def check_outputs(name: str, outputs: np.ndarray, expected: np.ndarray) -> float:
    """Returns the largest difference of inference outputs from bnexp's, relative to bnexp's largest.

    Raises:
        WorksDifferently: they differ by more than TOLERANCE.
    """
    count = min(len(outputs), len(expected))
    return _check(
        f"{name}: its outputs",
        outputs[:count],
        expected[:count],
        scale=float(np.abs(expected).max()),
        tolerance=TOLERANCE,
    )


def check_moments(name: str, found: Moments, expected: Moments, *, tolerance: float = MOMENTS_TOLERANCE) -> float:
    """Returns the largest distance of means, in standard deviations, and of variances, as a fraction, from float64.

    Raises:
        WorksDifferently: it is more than `tolerance`.
    """
    distances = []
    for layer, (mean, variance) in expected.items():
        distances.append(np.abs(found[layer][0] - mean) / np.sqrt(variance))
        distances.append(np.abs(found[layer][1] - variance) / variance)
    distance = max(float(array.max()) for array in distances)
    if not distance <= tolerance:
        raise WorksDifferently(
            f"{name}: its statistics differ from float64's by {distance:.2g}; {tolerance:.2g} is rounding."
        )
    return distance


def _check(what: str, values: np.ndarray, expected: np.ndarray, *, scale: float, tolerance: float) -> float:
    if values.shape != expected.shape:
        raise WorksDifferently(f"{what} have the shape {values.shape}, bnexp's {expected.shape}.")
    distance = float(np.abs(values - expected).max(initial=0.0)) / scale
    if not distance <= tolerance:
        raise WorksDifferently(
            f"{what} differ from bnexp's by {distance:.2g} of their size; {tolerance:.2g} is rounding."
        )
    return distance
