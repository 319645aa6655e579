"""Counts, means and variances of many batches, merged in float64 into those of their union."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BatchMoments:
    """The moments of a sequence of batches of one layer's input.

    Attributes:
        counts: [batches] float64, values a channel in each batch (examples times positions).
        means: [batches, channels] float64.
        variances: [batches, channels] float64, ddof 0.
    """

    counts: np.ndarray
    means: np.ndarray
    variances: np.ndarray


@dataclass(frozen=True)
class Moments:
    """Mean and variance of each channel.

    Attributes:
        mean: [channels] float64.
        variance: [channels] float64.
    """

    mean: np.ndarray
    variance: np.ndarray


def pooled(batches: BatchMoments) -> Moments:
    """Merges batches into the moments (ddof 0) of all their values together.

        mean = sum(n * mean_b) / sum(n)
        variance = sum(n * (variance_b + (mean_b - mean)**2)) / sum(n)

    Both sums run over differences from a mean, never over squares of raw values, so nothing cancels: with a mean of
    1000 standard deviations E[x**2] - E[x]**2 in float32 is off by 137 %.

    References:
      Chan, Golub and LeVeque. Updating formulae and a pairwise algorithm for computing sample variances. 1979.
    """
    weights = (batches.counts / batches.counts.sum())[:, None]
    # differences from the first batch's mean: the sum of many large means would lose digits that the spread needs
    shift = batches.means[0]
    mean = shift + np.sum(weights * (batches.means - shift), axis=0)
    variance = np.sum(weights * (batches.variances + (batches.means - mean) ** 2), axis=0)
    return Moments(mean, variance)


def mean_within(batches: BatchMoments) -> Moments:
    """Returns the paper's estimate: the mean of batch means, and m/(m-1) times the mean of batch variances.

        mean = sum(n * mean_b) / sum(n)
        variance = sum(n * variance_b) / sum(n - 1)

    With batches of one size m this is Algorithm 2 to the letter; written as sums it weighs a shorter last batch by what
    it holds, and a batch of a single value, whose m/(m-1) is undefined, adds nothing to the variance.

    References:
      Ioffe and Szegedy. Batch Normalization. 2015. https://arxiv.org/abs/1502.03167, Algorithm 2, lines 8-11.
    """
    counts = batches.counts[:, None]
    shift = batches.means[0]
    mean = shift + np.sum(counts * (batches.means - shift), axis=0) / counts.sum()
    return Moments(mean, np.sum(counts * batches.variances, axis=0) / max(float((counts - 1).sum()), 1.0))


def mean_error(moving: Moments, population: Moments) -> float:
    """Returns a moving mean's distance from the population's, in population standard deviations, averaged by channel.

    A channel that never varies in the population has no such unit and is left out; NaN where none is left.
    """
    varies = population.variance > 0
    distance = np.abs(moving.mean - population.mean)[varies] / np.sqrt(population.variance[varies])
    return float(distance.mean()) if varies.any() else float("nan")


def variance_ratio(moving: Moments, population: Moments) -> float:
    """Returns moving over population variance, averaged over the channels that vary; NaN where none does."""
    varies = population.variance > 0
    return float((moving.variance[varies] / population.variance[varies]).mean()) if varies.any() else float("nan")
