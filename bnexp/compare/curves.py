"""Trajectories of many runs, thinned to what a picture can show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bnexp.compare.store import Store, StoredRun
from bnexp.errors import first_line

# the most points of a line; a picture has not many more pixels
MOST_POINTS = 300
FEWEST_POINTS = 60

# the most that all curves of a report may take: written in base64 they are a third more, and the plotting library 5 MB
MOST_BYTES = 4_500_000

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

    @property
    def nbytes(self) -> int:
        """Returns the size of the arrays in bytes."""
        return sum(
            array.nbytes
            for array in (self.moving_mean, self.moving_variance, self.population_mean, self.population_variance)
        )


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

    The channels of a layer are chosen in the first run that has them, and kept for every run of the same seed: such
    runs start from the same weights, so that channel 17 of one is channel 17 of the other.

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
                curves[run.run_id] = (
                    thinned(arrays, run.params.get("seed", ""), chosen, points=points, percentiles=percentiles)
                    if "steps" in arrays
                    else _without(_reason(run))
                )
        except Exception as error:  # a damaged file must not cost the other runs their picture
            curves[run.run_id] = _without(first_line(error))
    return curves


def _without(problem: str) -> RunCurves:
    return RunCurves(np.zeros(0, np.int32), np.zeros(0, np.int32), problem=problem)


def _reason(run: StoredRun) -> str:
    restored = run.params.get("restore", "None") != "None"
    return "restored, so that nothing was trained" if restored else "its trajectories.npz is missing"


def thinned(
    arrays: Mapping[str, np.ndarray],
    seed: str,
    chosen: dict[tuple[str, int, str], list[int]],
    *,
    points: int = MOST_POINTS,
    percentiles: Sequence[int] = PERCENTILES,
) -> RunCurves:
    """Returns what a picture can show of the arrays of a trajectories.npz.

    Args:
        arrays: by name, as `Trajectories.save` writes them.
        seed: of the run.
        chosen: by layer, number of channels and seed, the channels shown; filled where they are chosen here.
        points: the most points of a line.
        percentiles: of the population's mean, a channel each.
    """
    steps, snapshots = arrays["steps"], arrays["snapshot_steps"]
    kept = kept_points(steps, snapshots, points)
    layers = {}
    for name in arrays:
        layer, _, statistic = name.rpartition("/")
        if statistic != "moving_mean":
            continue
        means, variances = arrays[name], arrays[f"{layer}/moving_variance"]
        populations = [arrays[f"{layer}/population_{moment}"] for moment in ("mean", "variance")]
        channels = chosen.setdefault((layer, means.shape[1], seed), channels_at(populations[0][-1], percentiles))
        layers[layer] = LayerCurves(
            channels,
            *(array.T[channels][:, kept].astype(np.float32) for array in (means, variances)),
            *(array.T[channels].astype(np.float32) for array in populations),
        )
    problem = "" if layers else "the layer keeps no moving statistics"
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


def fitting(curves: Mapping[str, RunCurves], most_bytes: int = MOST_BYTES) -> Mapping[str, RunCurves]:
    """Returns curves with fewer channels, then fewer points, so that together they stay under `most_bytes`.

    The median channel of every layer of every run is always kept, at no fewer than `FEWEST_POINTS` points.
    """
    size = sum(layer.nbytes for run in curves.values() for layer in run.layers.values())
    if size <= most_bytes:
        return curves
    share = most_bytes / size
    channels = max(1, int(len(PERCENTILES) * share))
    points = max(FEWEST_POINTS, int(MOST_POINTS * share * len(PERCENTILES) / channels))
    return {run_id: _coarser(run, channels, points) for run_id, run in curves.items()}


def _coarser(run: RunCurves, channels: int, points: int) -> RunCurves:
    kept = kept_points(run.steps, run.snapshot_steps, points)
    layers = {
        name: LayerCurves(
            layer.channels[:channels],
            layer.moving_mean[:channels, kept],
            layer.moving_variance[:channels, kept],
            layer.population_mean[:channels],
            layer.population_variance[:channels],
        )
        for name, layer in run.layers.items()
    }
    return RunCurves(run.steps[kept], run.snapshot_steps, layers, run.problem)
