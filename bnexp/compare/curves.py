"""Reads the trajectories of many runs, thinned to what a picture can show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bnexp.errors import first_line
from bnexp.tracking.reader import Store, StoredRun

# the most points of a line, about as many as a picture has pixels, and the fewest if a report would be too large
MOST_POINTS = 300
FEWEST_POINTS = 60

# the most bytes of all curves in a report, which base64 makes a third more; the plotting library takes 5 MB besides
MOST_BYTES = 4_500_000

# the channels that are shown: those whose population mean is at these percentiles of all channels of the layer, the
# most useful first
PERCENTILES = (50, 10, 90, 25, 75)


@dataclass(frozen=True)
class LayerCurves:
    """The statistics of a few channels of one layer in one run.

    Attributes:
        channels: the numbers of the channels, one for each percentile, [shown].
        moving_mean: the moving mean at each point, [shown, points] float32.
        moving_variance: the moving variance at each point, [shown, points] float32.
        population_mean: the population's mean at each snapshot, [shown, snapshots] float32.
        population_variance: the population's variance at each snapshot, [shown, snapshots] float32.
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
    """The curves of one run.

    Attributes:
        steps: the training steps of the points, [points] int32.
        snapshot_steps: the training steps of the snapshots, [snapshots] int32.
        layers: the curves of each layer that keeps moving statistics, by the layer's name.
        problem: why there are no curves; empty if there are.
    """

    steps: np.ndarray
    snapshot_steps: np.ndarray
    layers: Mapping[str, LayerCurves] = field(default_factory=dict)
    problem: str = ""


def read_curves(
    store: Store, runs: Sequence[StoredRun], *, points: int = MOST_POINTS, percentiles: Sequence[int] = PERCENTILES
) -> dict[str, RunCurves]:
    """Reads the trajectories of runs, and keeps what a picture can show.

    The channels of a layer are chosen in the first run that has the layer, and are the same in all runs with the same
    seed: these start from the same weights, so that their channels correspond.

    Args:
        store: the tracking store that has the runs.
        runs: the runs to read.
        points: the most points of a line.
        percentiles: the percentiles of the population's mean at which channels are chosen.

    Returns:
        The curves by run id; if the trajectories of a run are missing or damaged, its `problem` says so.

    Example:
        >>> curves = read_curves(store, runs)
        >>> list(curves[runs[0].run_id].layers)
        ['bn1', 'bn2', 'bn3']
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
        except Exception as error:  # the other runs can be drawn without a run whose file is damaged
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
    """Returns what a picture can show of a trajectories.npz.

    Args:
        arrays: the arrays by name, as `Trajectories.save` writes them.
        seed: the seed of the run, as text.
        chosen: the channels that are shown, by layer, number of channels and seed; new ones are added.
        points: the most points of a line.
        percentiles: the percentiles of the population's mean at which channels are chosen.

    Example:
        >>> with store.trajectories(runs[0]) as arrays:
        ...     thinned(arrays, "0", {}).steps.tolist()
        [1, 2, 3, 4]
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
    """Returns the numbers of the channels whose means are at the given percentiles of all means.

    Args:
        means: the mean of each channel, [channels].
        percentiles: the percentiles, in [0, 100].

    Example:
        >>> channels_at(np.array([0.3, 0.1, 0.2]), [50, 100])
        [2, 0]
    """
    order = np.argsort(means, kind="stable")
    return [int(order[round(percentile / 100 * (len(order) - 1))]) for percentile in percentiles]


def kept_points(steps: np.ndarray, snapshots: np.ndarray, most: int) -> np.ndarray:
    """Returns the indices of the recorded steps to draw: those of the snapshots, and others, denser at the beginning.

    The beginning matters most: an average with decay 0.9 changes mainly in the first fifty steps of any run.

    Args:
        steps: the recorded training steps, [points] int.
        snapshots: the training steps of the snapshots, [snapshots] int.
        most: the most indices to return; the snapshots are among them only if they are at most a third of it.

    Example:
        >>> len(kept_points(np.arange(1, 10_001), np.arange(500, 10_001, 500), most=300)) <= 300
        True
    """
    if len(steps) <= most:
        return np.arange(len(steps))
    ends = np.array([0, len(steps) - 1])
    marked = np.flatnonzero(np.isin(steps, snapshots))
    # in a long run, some snapshots may not be among the recorded steps, or there may be too many of them
    wanted = np.union1d(ends, marked if len(marked) <= most // 3 else ends)
    free = most - len(wanted)
    even = np.linspace(0, len(steps) - 1, free // 2)
    early = np.geomspace(1, len(steps), free - len(even)) - 1
    return np.unique(np.concatenate([wanted, even.round(), early.round()]).astype(np.int64))


def fitting(curves: Mapping[str, RunCurves], most_bytes: int = MOST_BYTES) -> Mapping[str, RunCurves]:
    """Returns curves of at most about `most_bytes`, with fewer channels and, if necessary, fewer points.

    The median channel of every layer of every run is always kept, with at least `FEWEST_POINTS` points if it has them.

    Args:
        curves: the curves by run id, with the channels of PERCENTILES.
        most_bytes: the most bytes of all arrays together.

    Example:
        >>> curves = read_curves(store, runs)
        >>> fitting(curves) is curves
        True
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
