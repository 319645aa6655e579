"""What a run tells its tracker while it trains, with a tracker that only remembers; and how it goes on."""

import io
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from bnexp.engine.model import Steps
from bnexp.record import progress
from bnexp.record.progress import log_snapshot, log_training, resume
from bnexp.runtime.signals import Interrupted
from bnexp.statistics.layer_statistics import LayerStatistics
from bnexp.statistics.moments import Moments
from bnexp.storage.arrays import load_arrays, save_arrays
from bnexp.training import savepoint
from bnexp.training.loop import Snapshot
from bnexp.training.savepoint import Training


class Remembers:
    """A tracker that has what it was told: metrics by name, and the arrays of its artifacts."""

    def __init__(self):
        self.logged, self.kept = {}, {}

    def log(self, metrics, *, step):
        for name, value in metrics.items():
            self.logged.setdefault(name, []).append((step, value))

    def artifacts(self, folder):
        for path in folder.iterdir():
            with np.load(path) as arrays:
                self.kept[path.name] = dict(arrays)


MOVING = Moments(np.array([2.0]), np.array([6.0]))


def model():
    """A network of one layer whose moving mean is 2 and variance 6, and of one variable."""
    state = {"bn1/gamma": np.zeros(1)}
    return SimpleNamespace(
        positions={"bn1": 1}, moving_statistics=lambda: {"bn1": MOVING}, state=lambda: state, assign=state.update
    )


def snapshots(steps, chunk, losses=None, population=(1.0, 4.0)):
    """Yields what a training would; the loss of a step is its number."""
    losses = np.arange(1, steps + 1, dtype=np.float32) if losses is None else losses
    for begin in range(0, steps, chunk):
        end = min(begin + chunk, steps)
        here = losses[begin:end]
        column = here[:, None]
        measured = {"bn1": Moments(*(np.array([value]) for value in population))}
        yield Snapshot(
            end,
            Steps(here, here / 2, {"bn1": LayerStatistics(column, column, column, column)}),
            measured,
            monitored=0.5,
            percentiles={"bn1": np.array([-1.0, 0.0, 2.0])},
            seconds=1.0,
        )


def logged(steps, chunk, *more):
    """Logs a run, snapshot by snapshot, and returns the metrics by name."""
    tracker = Remembers()
    for snapshot in snapshots(steps, chunk, *more):
        log_snapshot(tracker, model(), snapshot, steps=steps)
    return tracker.logged


def test_every_step_of_a_short_run():
    found = logged(10, 4)
    assert found["train/loss"] == [(step, float(step)) for step in range(1, 11)]
    assert found["train/accuracy"] == [(step, step / 2) for step in range(1, 11)]
    # (2 - 1) / sqrt(4) and 6 / 4, at each snapshot
    assert found["moving/bn1/mean_error"] == [(4, 0.5), (8, 0.5), (10, 0.5)]
    assert found["moving/bn1/variance_ratio"] == [(4, 1.5), (8, 1.5), (10, 1.5)]
    assert [found[f"unit/bn1/p{p}"][-1] for p in (15, 50, 85)] == [(10, -1.0), (10, 0.0), (10, 2.0)]


@pytest.mark.parametrize("steps", [99, 100, 101, 1234])
def test_a_long_run_is_thinned(steps, monkeypatch):
    monkeypatch.setattr(progress, "MOST_POINTS", 50)
    found = logged(steps, 100)["train/loss"]
    # the bound, and the last step beyond it
    assert len(found) <= 51
    assert len(found) >= 25
    assert found[-1] == (steps, float(steps))
    assert all(step == loss for step, loss in found)


def test_a_population_without_a_spread_has_no_unit_to_measure_in():
    """And what is not finite the tracker leaves out."""
    found = logged(4, 4, None, (1.0, 0.0))
    assert not np.isfinite([value for _, value in found["moving/bn1/mean_error"]]).any()


def console():
    return Console(file=io.StringIO(), force_terminal=False)


def test_a_training_s_snapshots_become_metrics_and_trajectories():
    tracker, here = Remembers(), model()
    training = Training(here, steps=10, batch_size=4, folder=None)
    found = log_training(snapshots(10, 4), training, here, tracker, console(), steps=10)
    assert tracker.logged == logged(10, 4)
    np.testing.assert_array_equal(found.steps, np.arange(1, 11))
    np.testing.assert_array_equal(found.losses, np.arange(1, 11))
    assert list(found.populations) == [4, 8, 10]
    assert training.seconds == 3.0
    assert tracker.kept == {}


def test_what_an_interrupted_training_had_recorded_is_kept():
    def stopped():
        yield from list(snapshots(10, 4))[:2]
        raise Interrupted(15)

    tracker, here = Remembers(), model()
    training = Training(here, steps=10, batch_size=4, folder=None)
    with pytest.raises(Interrupted):
        log_training(stopped(), training, here, tracker, console(), steps=10)
    np.testing.assert_array_equal(tracker.kept["trajectories.npz"]["loss"], np.arange(1, 9))


def test_a_full_disk_does_not_hide_why_a_training_ended():
    def full(_):
        raise OSError(28, "No space left on device")

    def stopped():
        yield from snapshots(4, 4)
        raise Interrupted(15)

    tracker, here = Remembers(), model()
    tracker.artifacts = full
    with pytest.raises(Interrupted):
        log_training(stopped(), Training(here, steps=10, batch_size=4, folder=None), here, tracker, console(), steps=10)


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A folder with the savepoint of a training that stopped after eight of ten steps."""
    monkeypatch.setattr(savepoint, "SECONDS_BETWEEN", -1.0)
    monkeypatch.setattr(savepoint, "TIMES_ITS_OWN", 0)
    here = model()
    here.assign({"bn1/gamma": np.full(1, 3.0)})
    training = Training(here, steps=10, batch_size=4, folder=tmp_path)
    log_training(list(snapshots(10, 4))[:2], training, here, Remembers(), console(), steps=10)
    return tmp_path


def resumed(folder):
    """Returns the training, its network's variable, and what was told."""
    here, told = model(), console()
    training = Training(here, steps=10, batch_size=4, folder=folder)
    resume(training, told)
    return training, here.state()["bn1/gamma"][0], told.file.getvalue()


def test_a_training_goes_on_from_its_savepoint(stopped):
    training, gamma, told = resumed(stopped)
    assert (training.step, gamma, told) == (8, 3.0, "resumed after step 8\n")
    np.testing.assert_array_equal(training.recorder.trajectories().losses, np.arange(1, 9))


def test_without_a_savepoint_there_is_nothing_to_tell(tmp_path):
    training, gamma, told = resumed(tmp_path)
    assert (training.step, gamma, told) == (0, 0.0, "")


def test_a_damaged_savepoint_is_named_and_the_training_starts_over(stopped):
    path = stopped / "step-8.npz"
    path.write_bytes(path.read_bytes()[:-1])
    training, gamma, told = resumed(stopped)
    assert (training.step, gamma) == (0, 0.0)
    assert told.startswith(f"{path} is damaged: it should have ")
    assert told.endswith(". The training starts over.\n")


def test_a_savepoint_of_an_older_bnexp_is_named_and_the_training_starts_over(stopped):
    arrays, manifest = load_arrays(stopped)
    older = {name.replace("averages/", "ladder/"): array for name, array in arrays.items()}
    shutil.rmtree(stopped)
    save_arrays(stopped / "step-8.npz", older, step=manifest["step"], seconds=manifest["seconds"])
    training, gamma, told = resumed(stopped)
    assert (training.step, gamma) == (0, 0.0)
    assert told == f"{stopped / 'step-8.npz'} is of another bnexp. The training starts over.\n"
