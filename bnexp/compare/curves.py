"""Trajectories of many runs, thinned to what a picture can show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bnexp.compare.store import Store, StoredRun
from bnexp.errors import first_line

# the most points of a line; a picture has not many more pixels
MOST_POINTS = 300

# of all channels of a layer, those whose population mean stands at these percentiles; the most telling first
PERCENTILES = (50, 10, 90, 25, 75)


@dataclass(frozen=True)
class LayerCurves:
    """A few channels of one layer of one run.

    Attributes:
        channels: [shown] their numbers, by percentile.
        moving_mean: [shown, points] float32.
        moving_variance: [shown, points] float32.
        population_mean: [shown, snapshots] float32.
        population_variance: [shown, snapshots] float32.
    """

    channels: list[int]
    moving_mean: np.ndarray
    moving_variance: np.ndarray
    population_mean: np.ndarray
    population_variance: np.ndarray


@dataclass(frozen=True)
class RunCurves:
    """What one run's moving statistics did.

    Attributes:
        steps: [points] int32.
        snapshot_steps: [snapshots] int32.
        layers: by name, those that keep moving statistics.
        problem: why there is nothing to draw; empty otherwise.
    """

    steps: np.ndarray
    snapshot_steps: np.ndarray
    layers: Mapping[str, LayerCurves] = field(default_factory=dict)
    problem: str = ""


def read_curves(
    store: Store, runs: Sequence[StoredRun], *, points: int = MOST_POINTS, percentiles: Sequence[int] = PERCENTILES
) -> dict[str, RunCurves]:
    """Reads the trajectories of runs, one after the other, and keeps what a picture can show.

    The channels of a layer are chosen in the first run that has them, and kept for every run of the same seed: such runs
    start from the same weights, so that channel 17 of one is channel 17 of the other.

    Args:
        store: where the runs are.
        runs: to read; one whose trajectories are missing or damaged says so in `problem`.
        points: the most points of a line.
        percentiles: of the population's mean, a channel each.

    Returns:
        By run id.
    """
    chosen: dict[tuple[str, int, str], list[int]] = {}
    curves = {}
    for run in runs:
        try:
            with store.trajectories(run) as arrays:
                curves[run.run_id] = _thinned(arrays, run.params.get("seed", ""), chosen, points, percentiles)
        except Exception as error:  # a damaged file must not cost the other runs their picture
            curves[run.run_id] = _without(first_line(error))
    return curves


def _without(problem: str) -> RunCurves:
    return RunCurves(np.zeros(0, np.int32), np.zeros(0, np.int32), problem=problem)


def _thinned(
    arrays: Mapping[str, np.ndarray],
    seed: str,
    chosen: dict[tuple[str, int, str], list[int]],
    points: int,
    percentiles: Sequence[int],
) -> RunCurves:
    if "steps" not in arrays:
        return _without("it did not train: restored from another run")
    steps, snapshots = arrays["steps"], arrays["snapshot_steps"]
    kept = kept_points(steps, snapshots, points)
    layers = {}
    for name in arrays:
        layer, _, statistic = name.rpartition("/")
        if statistic != "moving_mean":
            continue
        means, variances = arrays[name], arrays[f"{layer}/moving_variance"]
        population_mean, population_variance = (
            arrays[f"{layer}/population_mean"],
            arrays[f"{layer}/population_variance"],
        )
        channels = chosen.setdefault((layer, means.shape[1], seed), channels_at(population_mean[-1], percentiles))
        layers[layer] = LayerCurves(
            channels,
            *(array.T[channels][:, kept].astype(np.float32) for array in (means, variances)),
            *(array.T[channels].astype(np.float32) for array in (population_mean, population_variance)),
        )
    problem = "" if layers else "it keeps no moving statistics"
    return RunCurves(steps[kept].astype(np.int32), snapshots.astype(np.int32), layers, problem)


def channels_at(means: np.ndarray, percentiles: Sequence[int]) -> list[int]:
    """Returns the channels whose means, of [channels], stand at the percentiles."""
    order = np.argsort(means, kind="stable")
    return [int(order[round(percentile / 100 * (len(order) - 1))]) for percentile in percentiles]


def kept_points(steps: np.ndarray, snapshots: np.ndarray, most: int) -> np.ndarray:
    """Returns the indices of at most `most` of [points] recorded steps: all snapshots, the early steps more densely.

    An average of decay 0.9 has all its story in the first fifty steps, however long the run.
    """
    if len(steps) <= most:
        return np.arange(len(steps))
    ends = np.array([0, len(steps) - 1])
    marked = np.flatnonzero(np.isin(steps, snapshots))
    # a long run's snapshots need not all be among its recorded steps, nor fit among the points
    wanted = np.union1d(ends, marked if len(marked) <= most // 3 else ends)
    free = most - len(wanted)
    even = np.linspace(0, len(steps) - 1, free // 2)
    early = np.geomspace(1, len(steps), free - len(even)) - 1
    return np.unique(np.concatenate([wanted, even.round(), early.round()]).astype(np.int64))
