"""The tracker: one run, ended whatever happens, in whatever store MLflow can reach."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from small import ONE_LAYER, artifacts, client, run_here, store

from bnexp import journal, track, tracking_store
from bnexp.errors import UserError
from bnexp.interrupt import Interrupted
from bnexp.journal import journals
from bnexp.sync import Sync
from bnexp.track import Tracker
from bnexp.tracking_store import PATIENCE, StoreError, without_password


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
        monkeypatch.setattr(track, "SECONDS_BETWEEN_FLUSHES", 1e9)
        for step in range(1, 2401):
            tracker.log({f"m{i}": float(step) for i in range(5)}, step=step)
    assert len(requests) == 12
    for i in range(5):
        history = client(folder).get_metric_history(tracker.run_id, f"m{i}")
        assert [(metric.step, metric.value) for metric in history] == [(step, step) for step in range(1, 2401)]


def test_metrics_are_sent_while_the_run_goes_on(folder, monkeypatch):
    monkeypatch.setattr(track, "SECONDS_BETWEEN_FLUSHES", 0.0)
    with tracker_in(folder) as tracker:
        tracker.start("name", params={}, tags={})
        tracker.log({"m": 1.0}, step=1)
        assert only_run(folder).data.metrics == {"m": 1.0}
        assert only_run(folder).info.status == "RUNNING"


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
    monkeypatch.setitem(tracking_store.FIRST_PATIENCE, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as mute,
        pytest.raises(UserError, match="no tracking store answers there"),
    ):
        Tracker(uri=f"http://127.0.0.1:{mute.getsockname()[1]}", experiment="e", runs=folder / "runs")
    # and later requests are given more time again
    assert {key: os.environ[key] for key in PATIENCE} == PATIENCE


@pytest.fixture
def gone(folder, monkeypatch):
    """Has the store of a tracker go away, and with `back` answer again."""

    def fails(*_, **__):
        raise MlflowException("connection refused\nat length")

    class Gone:
        def now(self, tracker, back=False):
            monkeypatch.setattr(tracker.store, "client", SimpleNamespace(log_batch=fails))
            if not back:
                monkeypatch.setattr(track, "TrackingStore", fails)

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
        assert (sync.brought, sync.failed) == (brought, 0)
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
        patch.setattr(track, "TrackingStore", fails)
        with pytest.raises(UserError):
            tracker_in(folder)
        with tracker_in(folder, parent="0123") as tracker:
            measure(tracker)
            # whether it ran before nobody can tell
            with pytest.raises(UserError, match="does not answer, and may have the run already"):
                tracker_in(folder, parent="0123").identify({}, resume=True)
    assert "the store went away" in capsys.readouterr().err
    (facts,) = journals(folder / "runs" / "local").values()
    assert (facts.status, facts.run_id, facts.parent) == ("FINISHED", "", "0123")
    Sync(Path("runs")).run()
    assert_complete(folder)
    assert only_run(folder).data.tags["mlflow.parentRunId"] == "0123"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:///runs/mlflow.db", "sqlite:///runs/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("https://me:s:ecret@host/x@y", "https://me:***@host/x@y"),
        ("https://me@host", "https://me@host"),
    ],
)
def test_a_password_is_never_shown(uri, shown):
    assert without_password(uri) == shown


def test_where_to_look(folder):
    with tracker_in(folder) as tracker:
        tracker.start("name", params={}, tags={})
    assert tracker.where().startswith(f"python -m mlflow ui --backend-store-uri {store(folder)}\n")


@pytest.mark.slow
def test_a_real_server_over_http(folder, server, command):
    """A run, and its restoring; every file goes through the server, none beside it."""
    uri = server.uri
    small = (f"tracking.uri={uri}", "dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4", "steps=12")
    done = command(*small)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    far = MlflowClient(tracking_uri=uri)
    (run,) = far.search_runs([far.get_experiment_by_name("bnexp").experiment_id])
    assert f"{uri}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}" in done.stdout
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert {"test/accuracy", "train/loss"} <= set(run.data.metrics)
    names = {file.path for file in far.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "trajectories.npz", "trajectories.png", "checkpoint"} <= names
    assert not (folder / "runs" / "artifacts").exists()
    assert list(Path(folder, "server", "a").rglob("variables.npz"))

    restored = run_here(folder, f"restore={run.info.run_id}", "final_pass=layerwise", uri=uri)
    assert restored.metrics["test/accuracy_before_final_pass"] == run.data.metrics["test/accuracy"]
    second = far.get_run(restored.run_id)
    assert second.data.tags["bnexp.restored_from"] == run.info.run_id
    assert far.list_artifacts(restored.run_id, "checkpoint")

    # and what the server kept of a run that it did not see the end of
    killed_in_the_middle(folder, server, far, run)


def killed_in_the_middle(folder, server, far, like):
    """Kills the server while a run trains, for good; the run finishes, and a new server gets all of it, once."""
    program = (
        "import os, signal, sys\n"
        "from bnexp import record\n"
        "from bnexp.__main__ import main\n"
        "log = record.log_snapshot\n"
        "def then_kill(tracker, model, snapshot, *, steps):\n"
        "    log(tracker, model, snapshot, steps=steps)\n"
        "    tracker.flush()\n"
        f"    if snapshot.step == 5: os.killpg({server._process.pid}, signal.SIGKILL)\n"
        "record.log_snapshot = then_kill\n"
        "main()\n"
    )
    small = (f"tracking.uri={server.uri}", "dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4", "steps=12")
    done = subprocess.run(
        [sys.executable, "-c", program, *small], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("bnexp: ")]
    assert "the store went away" in said
    assert done.stdout.splitlines()[-1] == "python -m bnexp.sync"
    server.stop()
    server.start()
    for _ in range(2):
        synced = subprocess.run(
            [sys.executable, "-m", "bnexp.sync"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
        )
        assert (synced.returncode, synced.stderr) == (0, "")
        run, *_ = far.search_runs([like.info.experiment_id], order_by=["attributes.start_time DESC"])
        assert run.info.run_id != like.info.run_id
        assert (run.info.status, run.data.params) == ("FINISHED", like.data.params)
        assert run.data.tags["bnexp.verdict"] == like.data.tags["bnexp.verdict"]
        assert run.data.metrics.keys() == like.data.metrics.keys()
        for key in like.data.metrics:
            if not key.endswith("seconds"):
                points = [
                    [(metric.step, metric.value) for metric in far.get_metric_history(one.info.run_id, key)]
                    for one in (run, like)
                ]
                assert points[0] == points[1], key
        names = [{file.path for file in far.list_artifacts(one.info.run_id)} for one in (run, like)]
        assert names[0] == names[1]
