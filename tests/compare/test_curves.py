"""Trajectories thinned to what a picture can show, and no further."""

import numpy as np
import pytest
from fakes import FakeStore, trajectories

from bnexp.compare.curves import (
    FEWEST_POINTS,
    PERCENTILES,
    LayerCurves,
    RunCurves,
    channels_at,
    fitting,
    kept_points,
    read_curves,
)
from bnexp.tracking.reader import Store


def test_curves_are_the_arrays_of_chosen_channels(folder):
    fakes, arrays = FakeStore(folder), trajectories()
    run_id = fakes.add(arrays=arrays)
    here = Store(fakes.uri, "bnexp")
    run = read_curves(here, here.get([run_id]))[run_id]
    assert list(run.layers) == ["bn1", "bn2"]
    assert run.problem == ""
    layer = run.layers["bn2"]
    assert len(layer.channels) == len(PERCENTILES)
    np.testing.assert_array_equal(run.steps, arrays["steps"])
    np.testing.assert_array_equal(layer.moving_variance, arrays["bn2/moving_variance"].T[layer.channels])
    np.testing.assert_array_equal(layer.population_mean, arrays["bn2/population_mean"].T[layer.channels])


def test_channels_are_those_of_the_seed(folder):
    fakes = FakeStore(folder)
    ids = [
        fakes.add(arrays=trajectories(seed=seed, decay=decay), seed=label, decay=decay)
        for seed, label, decay in [(0, 0, 0.9), (5, 0, 0.99), (5, 1, 0.99)]
    ]
    here = Store(fakes.uri, "bnexp")
    curves = read_curves(here, here.get(ids))
    first, same_seed, other_seed = (curves[run_id].layers["bn1"].channels for run_id in ids)
    # the second run's own would be others, as the third shows, which has the same arrays and another seed
    assert first == same_seed != other_seed


def test_runs_without_trajectories_say_why(folder):
    fakes = FakeStore(folder)
    damaged, missing = fakes.add(arrays=trajectories()), fakes.add()
    restored, without_statistics = fakes.add(restore="1" * 32), fakes.add(arrays=trajectories(layers=()))
    path = fakes.artifacts(damaged) / "trajectories.npz"
    path.write_bytes(b"PK" + path.read_bytes()[:50])
    here = Store(fakes.uri, "bnexp")
    problems = {key: run.problem for key, run in read_curves(here, here.search()).items()}
    assert problems[damaged].startswith("trajectories.npz cannot be read (")
    assert problems[missing] == "its trajectories.npz is missing"
    assert problems[restored] == "restored, so that nothing was trained"
    assert problems[without_statistics] == "the layer keeps no moving statistics"


@pytest.mark.parametrize("count", [1, 2, 299, 300, 301, 100_000])
def test_points_are_few_and_hold_the_ends_and_the_snapshots(count):
    steps = np.arange(1, count + 1)
    snapshots = np.unique(np.linspace(1, count, 20).astype(int))
    kept = kept_points(steps, snapshots, 300)
    assert len(kept) <= 300
    assert (np.diff(kept) > 0).all()
    assert kept[0] == 0
    assert kept[-1] == count - 1
    assert set(snapshots) <= set(steps[kept])


def test_early_steps_are_kept_more_densely():
    steps = np.arange(1, 10_001)
    kept = steps[kept_points(steps, np.array([10_000]), 300)]
    assert (kept <= 100).sum() > 3 * ((kept > 9000) & (kept <= 9100)).sum()


def test_channels_stand_at_their_percentiles():
    means = np.array([5.0, 1, 4, 2, 3])
    assert channels_at(means, (0, 50, 100)) == [1, 4, 0]
    assert channels_at(np.array([7.0]), PERCENTILES) == [0] * len(PERCENTILES)


def many(count, points=300):
    def layer():
        return LayerCurves([4, 2, 3, 0, 1], *(np.zeros([5, size], np.float32) for size in (points, points, 20, 20)))

    steps = np.arange(points, dtype=np.int32)
    return {f"{i}": RunCurves(steps, steps[::15], {"bn1": layer(), "bn2": layer()}) for i in range(count)}


def test_few_runs_are_shown_as_they_are():
    curves = many(3)
    assert fitting(curves) is curves


@pytest.mark.parametrize("count", [100, 400])
def test_many_runs_lose_channels_and_then_points(count):
    most = 1_000_000
    curves = fitting(many(count), most)
    size = sum(layer.nbytes for run in curves.values() for layer in run.layers.values())
    assert size <= 1.2 * most
    (layer, _), steps = curves["0"].layers.values(), curves["0"].steps
    # the median's channel stays, and a line stays a line
    assert layer.channels[0] == 4
    assert layer.moving_mean.shape == (len(layer.channels), len(steps))
    assert len(steps) >= FEWEST_POINTS
