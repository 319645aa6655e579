"""The tracker: one run, ended whatever happens, in whatever store MLflow can reach."""

import os
import signal
import socket
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from small import artifacts, client, store

from bnexp.errors import UserError
from bnexp.runtime.signals import Interrupted
from bnexp.sync import Sync
from bnexp.tracking import journal
from bnexp.tracking import tracker as module
from bnexp.tracking.journal import journals
from bnexp.tracking.mlflow_client import CONNECT_TIMEOUT, REQUEST_TIMEOUT
from bnexp.tracking.store import StoreError
from bnexp.tracking.tracker import Tracker


def tracker_in(folder, **arguments):
    return Tracker(uri=store(folder), experiment="e", runs=folder / "runs", **arguments)


def only_run(folder):
    experiment = client(folder).get_experiment_by_name("e")
    (run,) = client(folder).search_runs([experiment.experiment_id])
    return run


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (None, "FINISHED", None),
        (ValueError("first line\nsecond"), "FAILED", "first line"),
        (UserError("decay must be ..."), "FAILED", "decay must be ..."),
        (MlflowException("odd"), "FAILED", "odd"),
        (KeyError(), "FAILED", "KeyError"),
        (Interrupted(signal.SIGINT), "KILLED", "stopped by SIGINT"),
        (SystemExit(3), "KILLED", "3"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
    ],
)
def test_a_run_never_stays_running(folder, error, status, told):
    def use():
        with tracker_in(folder) as tracker:
            tracker.start("name", params={"a": 1}, tags={"t": "x"})
            tracker.log({"m": 0.5}, step=3)
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(type(error)):
            use()
    run = only_run(folder)
    assert (run.info.status, run.info.run_name) == (status, "name")
    assert run.data.tags.get("bnexp.error") == told
    assert (run.data.tags["t"], run.data.params, run.data.metrics) == ("x", {"a": "1"}, {"m": 0.5})


def test_without_a_start_there_is_no_run(folder):
    with pytest.raises(UserError), tracker_in(folder):
        raise UserError("too early")
    experiment = client(folder).get_experiment_by_name("e")
    assert client(folder).search_runs([experiment.experiment_id]) == []


def test_a_failure_before_the_start_is_a_run_where_that_is_wanted(folder):
    with pytest.raises(UserError), tracker_in(folder, failed_start=("job 3", {"decay": 1.5})):
        raise UserError("too early")
    run = only_run(folder)
    assert (run.info.status, run.info.run_name, run.data.params) == ("FAILED", "job 3", {"decay": "1.5"})
    assert run.data.tags["bnexp.error"] == "too early"


def test_an_interrupt_before_the_start_leaves_no_run(folder):
    with pytest.raises(Interrupted), tracker_in(folder, failed_start=("job 3", {})):
        raise Interrupted(signal.SIGTERM)
    experiment = client(folder).get_experiment_by_name("e")
    assert client(folder).search_runs([experiment.experiment_id]) == []


def test_metrics_go_in_batches(folder, monkeypatch):
    """Twelve thousand metrics in a dozen requests, none lost, none doubled, each at its step."""
    requests = []
    with tracker_in(folder) as tracker:
        tracker.start("name", params={}, tags={})
        log_batch = tracker.store.client.log_batch
        monkeypatch.setattr(tracker.store.client, "log_batch", lambda *a, **k: (requests.append(k), log_batch(*a, **k)))
        monkeypatch.setattr(module, "SECONDS_BETWEEN_FLUSHES", 1e9)
        for step in range(1, 2401):
            tracker.log({f"m{i}": float(step) for i in range(5)}, step=step)
    assert len(requests) == 12
    for i in range(5):
        history = client(folder).get_metric_history(tracker.run_id, f"m{i}")
        assert [(metric.step, metric.value) for metric in history] == [(step, step) for step in range(1, 2401)]


def test_metrics_are_sent_while_the_run_goes_on(folder, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_FLUSHES", 0.0)
    with tracker_in(folder) as tracker:
        tracker.start("name", params={}, tags={})
        tracker.log({"m": 1.0}, step=1)
        assert only_run(folder).data.metrics == {"m": 1.0}
        assert only_run(folder).info.status == "RUNNING"


def test_what_is_no_finite_number_is_left_out(folder):
    """Not every store can hold it."""
    with tracker_in(folder) as tracker:
        tracker.start("name", params={}, tags={})
        tracker.log({"a": np.float32(0.5), "b": float("-inf"), "c": float("nan")}, step=1)
        tracker.log({"c": np.float32("inf")}, step=2)
    assert only_run(folder).data.metrics == {"a": 0.5}


def test_more_params_than_one_request_takes(folder):
    params = {f"p{i}": i for i in range(250)}
    with tracker_in(folder) as tracker:
        tracker.start("name", params=params, tags={})
    assert only_run(folder).data.params == {key: str(value) for key, value in params.items()}


def test_an_sqlite_store_keeps_its_artifacts_beside_it(folder):
    with tracker_in(folder) as tracker:
        tracker.start("name", params={}, tags={})
        (folder / "x").mkdir()
        (folder / "x" / "file").write_text("text")
        tracker.artifacts(folder / "x")
    stored = folder / "runs" / "artifacts" / tracker.run_id / "artifacts" / "file"
    assert stored.read_text() == "text"
    assert only_run(folder).info.artifact_uri == stored.parent.as_uri()


def test_a_deleted_experiment_is_no_place(folder):
    tracker = tracker_in(folder)
    tracker.store.client.delete_experiment(tracker.store.experiment_id)
    with pytest.raises(UserError) as caught:
        tracker_in(folder)
    assert str(caught.value) == (
        "tracking.experiment=e: that experiment is deleted. Restore it in the MLflow UI, or name another."
    )


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "foo://bar", "http://127.0.0.1:99999", "sqlite:////proc/x/m.db"])
def test_a_store_that_does_not_answer_is_told_in_seconds(folder, uri):
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        Tracker(uri=uri, experiment="e", runs=folder / "runs")
    assert time.monotonic() - started < 10
    assert str(caught.value).startswith(f"tracking.uri={uri}: ")
    assert "\n" not in str(caught.value)


def test_a_server_that_accepts_and_says_nothing(folder, monkeypatch):
    monkeypatch.setitem(CONNECT_TIMEOUT, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as mute,
        pytest.raises(UserError, match="no tracking store answers there"),
    ):
        Tracker(uri=f"http://127.0.0.1:{mute.getsockname()[1]}", experiment="e", runs=folder / "runs")
    # and later requests are given more time again
    assert {key: os.environ[key] for key in REQUEST_TIMEOUT} == REQUEST_TIMEOUT


@pytest.fixture
def gone(folder, monkeypatch):
    """Has the store of a tracker go away, and with `back` answer again."""

    def fails(*_, **__):
        raise MlflowException("connection refused\nat length")

    class Gone:
        def now(self, tracker, back=False):
            monkeypatch.setattr(tracker.store, "client", SimpleNamespace(log_batch=fails))
            if not back:
                monkeypatch.setattr(module, "TrackingStore", fails)

    return Gone()


def told(folder):
    return (
        f"bnexp: tracking.uri={store(folder)}: the store went away (connection refused). The run goes on, and is kept "
        f"whole in {folder}/runs/local; python -m bnexp.sync brings it to the store.\n"
    )


def measure(tracker, gone=lambda: None):
    tracker.start("name", params={"a": 1}, tags={"t": "x"})
    tracker.log({"m": 0.5}, step=1)
    tracker.flush()
    gone()
    for step in (2, 3):
        tracker.log({"m": step / 2}, step=step)
        tracker.flush()
    tracker.tag({"t": "y", "u": "z"})
    Path("made").mkdir()
    Path("made", "file").write_text("text")
    tracker.artifacts(Path("made"))


def assert_complete(folder):
    run = only_run(folder)
    assert (run.info.status, run.data.params) == ("FINISHED", {"a": "1"})
    assert (run.data.tags["t"], run.data.tags["u"]) == ("y", "z")
    history = client(folder).get_metric_history(run.info.run_id, "m")
    assert sorted((metric.step, metric.value) for metric in history) == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert (artifacts(folder, run.info.run_id) / "file").read_text() == "text"
    assert journals(folder / "runs" / "local") == {}


def test_a_store_that_goes_away_for_good_is_told_once_and_synced_later(folder, monkeypatch, capsys, gone):
    with tracker_in(folder) as tracker:
        measure(tracker, gone=lambda: gone.now(tracker))
    assert capsys.readouterr().err == told(folder)
    assert tracker.where().splitlines()[-1] == "python -m bnexp.sync"
    assert only_run(folder).info.status == "RUNNING"
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    for brought in (1, 0):
        sync = Sync(Path("runs"))
        sync.run()
        assert (sync.sent, sync.failed) == (brought, 0)
        assert_complete(folder)


def test_a_store_that_is_back_at_the_end_gets_everything_at_once(folder, capsys, gone):
    with tracker_in(folder) as tracker:
        measure(tracker, gone=lambda: gone.now(tracker, back=True))
    assert capsys.readouterr().err == told(folder)
    assert tracker.where().startswith("python -m mlflow ui")
    assert_complete(folder)


def test_a_store_that_stays_gets_nothing_twice(folder):
    with tracker_in(folder) as tracker:
        measure(tracker)
    assert_complete(folder)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_ends_the_run_and_touches_no_other(folder, monkeypatch):
    with tracker_in(folder) as tracker:
        measure(tracker)

    trackers = []

    def use():
        with tracker_in(folder) as tracker:
            trackers.append(tracker)
            tracker.start("full", params={}, tags={})
            monkeypatch.setattr(journal, "write_whole", lambda path, content: Path("/dev/full").write_bytes(content))
            tracker.tag({"t": "y"})

    with pytest.raises(UserError, match="No space left on device"):
        use()
    full, earlier = client(folder).search_runs([trackers[0].store.experiment_id])
    assert (full.info.run_name, full.info.status) == ("full", "FAILED")
    assert full.data.tags["bnexp.error"].startswith(f"{folder}/runs/local/{full.data.tags['bnexp.key']}: cannot be")
    assert (earlier.info.status, earlier.data.metrics) == ("FINISHED", {"m": 1.5})


def test_a_job_of_a_sweep_starts_without_its_store(folder, monkeypatch, capsys):
    def fails(*_):
        raise StoreError("tracking.uri=x: no tracking store answers there")

    with monkeypatch.context() as patch:
        patch.setattr(module, "TrackingStore", fails)
        with pytest.raises(UserError):
            tracker_in(folder)
        with tracker_in(folder, parent="0123") as tracker:
            measure(tracker)
            # whether it ran before nobody can tell
            with pytest.raises(UserError, match="does not answer, and may have the run already"):
                tracker_in(folder, parent="0123").identify({}, resume=True)
    assert "the store went away" in capsys.readouterr().err
    (record,) = journals(folder / "runs" / "local").values()
    assert (record.status, record.run_id, record.parent) == ("FINISHED", "", "0123")
    Sync(Path("runs")).run()
    assert_complete(folder)
    assert only_run(folder).data.tags["mlflow.parentRunId"] == "0123"


def test_where_to_look(folder):
    with tracker_in(folder) as tracker:
        tracker.start("name", params={}, tags={})
    assert tracker.where().startswith(f"python -m mlflow ui --backend-store-uri {store(folder)}\n")
