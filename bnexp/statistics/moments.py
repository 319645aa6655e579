"""The moments of many batches, merged in float64 into the moments of all their values."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BatchMoments:
    """The moments of a sequence of batches of one layer's input.

    Attributes:
        counts: the number of values that each batch has in one channel (examples times positions), [batches] float64.
        means: the mean of each channel in each batch, [batches, channels] float64.
        variances: the variance (ddof 0) of each channel in each batch, [batches, channels] float64.
    """

    counts: np.ndarray
    means: np.ndarray
    variances: np.ndarray


@dataclass(frozen=True)
class Moments:
    """The mean and variance of each channel, of one set of values or of several.

    Attributes:
        mean: the mean of each channel, [channels] or, as a series, [steps, channels].
        variance: the variance of each channel, of the same shape.
    """

    mean: np.ndarray
    variance: np.ndarray


def pooled(batches: BatchMoments) -> Moments:
    """Returns the moments (ddof 0) of all values of all batches together.

        mean = sum(n * mean_b) / sum(n)
        variance = sum(n * (variance_b + (mean_b - mean)**2)) / sum(n)

    Both sums run over differences from a mean and not over squares of raw values, so that no digits cancel: where the
    mean is 1000 standard deviations, E[x**2] - E[x]**2 in float32 is off by 137 %.

    Args:
        batches: the moments of each batch; batches may differ in size.

    Returns:
        The mean and variance of each channel, [channels] float64.

    References:
      Chan, Golub and LeVeque. Updating formulae and a pairwise algorithm for computing sample variances. 1979.

    Example:
        >>> pooled(BatchMoments(np.array([2.0, 2.0]), np.array([[1.0], [3.0]]), np.array([[0.25], [0.25]])))
        Moments(mean=array([2.]), variance=array([1.25]))
    """
    weights = (batches.counts / batches.counts.sum())[:, None]
    # relative to the first batch's mean: a sum of many large means would lose the digits in which they differ
    shift = batches.means[0]
    mean = shift + np.sum(weights * (batches.means - shift), axis=0)
    variance = np.sum(weights * (batches.variances + (batches.means - mean) ** 2), axis=0)
    return Moments(mean, variance)


def mean_within(batches: BatchMoments) -> Moments:
    """Returns the paper's estimate: the mean of batch means, and m/(m-1) times the mean of batch variances.

        mean = sum(n * mean_b) / sum(n)
        variance = sum(n * variance_b) / sum(n - 1)

    For batches of one size m this is exactly Algorithm 2. Written as sums it also weights a shorter last batch by its
    number of values, and a batch of a single value, whose m/(m-1) is undefined, adds nothing to the variance.

    Args:
        batches: the moments of each batch.

    Returns:
        The estimated mean and variance of each channel, [channels] float64.

    References:
      Ioffe and Szegedy. Batch Normalization. 2015. https://arxiv.org/abs/1502.03167, Algorithm 2, lines 8-11.

    Example:
        >>> mean_within(BatchMoments(np.array([2.0, 2.0]), np.array([[1.0], [3.0]]), np.array([[0.25], [0.25]])))
        Moments(mean=array([2.]), variance=array([0.5]))
    """
    counts = batches.counts[:, None]
    shift = batches.means[0]
    mean = shift + np.sum(counts * (batches.means - shift), axis=0) / counts.sum()
    return Moments(mean, np.sum(counts * batches.variances, axis=0) / max(float((counts - 1).sum()), 1.0))


def mean_error(moving: Moments, population: Moments) -> float:
    """Returns how far the moving mean is from the population's mean, in population standard deviations.

    Args:
        moving: the moving statistics of a layer, [channels].
        population: the moments of the layer's input over the population, [channels].

    Returns:
        The mean over channels of |difference| / population standard deviation. Channels that are constant in the
        population are left out; NaN if all are.

    Example:
        >>> mean_error(Moments(np.array([1.0]), np.array([2.0])), Moments(np.array([0.0]), np.array([4.0])))
        0.5
    """
    varies = population.variance > 0
    distance = np.abs(moving.mean - population.mean)[varies] / np.sqrt(population.variance[varies])
    return float(distance.mean()) if varies.any() else float("nan")


def variance_ratio(moving: Moments, population: Moments) -> float:
    """Returns the ratio of moving variance to population variance; 1 is right.

    Args:
        moving: the moving statistics of a layer, [channels].
        population: the moments of the layer's input over the population, [channels].

    Returns:
        The mean ratio over the channels that vary in the population; NaN if none does.

    Example:
        >>> variance_ratio(Moments(np.array([1.0]), np.array([2.0])), Moments(np.array([0.0]), np.array([4.0])))
        0.5
    """
    varies = population.variance > 0
    return float((moving.variance[varies] / population.variance[varies]).mean()) if varies.any() else float("nan")
