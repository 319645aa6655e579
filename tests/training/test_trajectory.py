"""Trajectories: every step of a short run, and no more than a bound of a long one."""

import numpy as np
import pytest

from bnexp.engine.model import Steps
from bnexp.statistics.layer_statistics import LayerStatistics, to_arrays
from bnexp.statistics.moments import Moments
from bnexp.training import trajectory
from bnexp.training.loop import Snapshot
from bnexp.training.trajectory import Recorder

CHANNELS = 3


def snapshot(begin, end):
    """Steps `begin` + 1 to `end`, each array holding its step's number."""
    numbers = np.arange(begin + 1, end + 1, dtype=np.float32)
    wide = np.repeat(numbers[:, None], CHANNELS, axis=1)
    layers = {layer: LayerStatistics(wide, wide, wide, wide) for layer in ("bn1", "bn2")}
    population = {layer: Moments(np.full(CHANNELS, float(end)), np.full(CHANNELS, 2.0)) for layer in ("bn1", "bn2")}
    return Snapshot(end, Steps(numbers, numbers, layers), population, monitored=0.0, percentiles={}, seconds=1.0)


def series(found):
    """Every array that has a row for each step kept."""
    return [found.losses, found.accuracies, *to_arrays(found.layers).values()]


def recorded(steps, chunk):
    recorder = Recorder(steps)
    for begin in range(0, steps, chunk):
        recorder.add(snapshot(begin, min(begin + chunk, steps)))
    return recorder.trajectories()


@pytest.mark.parametrize(("steps", "chunk"), [(1, 1), (3, 1), (20, 7), (100, 5)])
def test_a_short_run_keeps_every_step(steps, chunk):
    found = recorded(steps, chunk)
    np.testing.assert_array_equal(found.steps, np.arange(1, steps + 1))
    assert list(found.layers) == found.averaging_layers == ["bn1", "bn2"]
    for array in series(found):
        np.testing.assert_array_equal(array.reshape(steps, -1)[:, 0], np.arange(1, steps + 1))


@pytest.mark.parametrize("steps", [999, 1000, 1001, 5000])
def test_a_long_run_stays_under_the_bound(steps, monkeypatch):
    # 2 layers of 4 statistics of 3 channels, loss and accuracy: 26 numbers of 4 bytes a step; 1000 steps fit exactly
    monkeypatch.setattr(trajectory, "MOST_BYTES", 26 * 4 * 1000)
    found = recorded(steps, 250)
    kept = sum(array.nbytes for array in series(found))
    # the last step is kept beyond what the stride would
    assert kept <= trajectory.MOST_BYTES + 26 * 4
    # and a run that fits is not thinned
    assert len(found.steps) > min(steps, 1000) / 2
    assert found.steps[-1] == steps
    assert len(set(np.diff(found.steps)[:-1])) == 1
    for array in series(found):
        np.testing.assert_array_equal(array.reshape(len(found.steps), -1)[:, -1], found.steps)


def test_the_bound_holds_for_a_long_wide_run():
    """64 MiB, whatever the run: a million steps of 64 numbers would be 256 MB."""
    recorder = Recorder(10**6)
    recorder.add(snapshot(0, 100))
    assert recorder._stride == -(-(10**6) * 26 * 4 // 2**26)


def test_the_file_holds_what_the_interface_names(tmp_path):
    found = recorded(6, 2)
    found.save(tmp_path / "trajectories.npz")
    with np.load(tmp_path / "trajectories.npz", allow_pickle=False) as archive:
        arrays = dict(archive)
    np.testing.assert_array_equal(arrays["steps"], np.arange(1, 7))
    np.testing.assert_array_equal(arrays["snapshot_steps"], [2, 4, 6])
    for layer in ("bn1", "bn2"):
        for name in ("moving_mean", "moving_variance", "batch_mean", "batch_variance"):
            assert arrays[f"{layer}/{name}"].shape == (6, CHANNELS)
            assert arrays[f"{layer}/{name}"].dtype == np.float32
        np.testing.assert_array_equal(arrays[f"{layer}/population_mean"][:, 0], [2, 4, 6])
        np.testing.assert_array_equal(arrays[f"{layer}/population_variance"], np.full([3, CHANNELS], 2))


def test_a_diverged_run_is_saved_without_a_word(tmp_path):
    recorder = Recorder(2)
    diverged = snapshot(0, 2)
    diverged.population["bn1"].variance[:] = 1e300
    recorder.add(diverged)
    recorder.trajectories().save(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as archive:
        assert np.isinf(archive["bn1/population_variance"]).all()
