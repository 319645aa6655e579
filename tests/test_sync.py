"""sync: what a store did not get comes to it once, whenever it is killed and however often it is run."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import eight_runs
import pytest
from small import artifacts, client, store

from bnexp.errors import UserError
from bnexp.sync import Sync, main, options_of
from bnexp.tracking.journal import Journal, journals
from bnexp.tracking.store import StoreError, TrackingStore
from bnexp.tracking.tracker import Tracker


def offline(folder, monkeypatch, *, name="a", parent="0123", status=None):
    """Leaves the journal of a run that never met its store."""

    def fails(*_):
        raise StoreError("no tracking store answers there")

    with monkeypatch.context() as patch:
        patch.setattr("bnexp.tracking.tracker.TrackingStore", fails)
        with Tracker(uri=store(folder), experiment="e", runs=folder / "runs", parent=parent) as tracker:
            tracker.start(name, params={f"p{i}": i for i in range(3)}, tags={"t": "x"})
            for step in range(1, 1501):
                tracker.log({"m": step / 2}, step=step)
            (folder / name).mkdir()
            (folder / name / "file").write_text(name)
            tracker.artifacts(folder / name)
            if status == "RUNNING":  # as after a kill
                tracker._journal._file.close()
                tracker._journal._lock.release()
                tracker._journal = None


def assert_sent(folder, *, name="a", status="FINISHED", count=1):
    experiment = client(folder).get_experiment_by_name("e").experiment_id
    runs = [run for run in client(folder).search_runs([experiment]) if run.info.run_name == name]
    assert [run.info.status for run in runs] == [status] * count
    for run in runs:
        assert run.data.params == {f"p{i}": str(i) for i in range(3)}
        assert (run.data.tags["t"], run.data.tags["mlflow.parentRunId"]) == ("x", "0123")
        history = client(folder).get_metric_history(run.info.run_id, "m")
        assert [(metric.step, metric.value) for metric in history] == [(step, step / 2) for step in range(1, 1501)]
        assert (artifacts(folder, run.info.run_id) / "file").read_text() == name


class KilledAt:
    """A client that is killed at one of its calls: before it, or right after, when its answer is lost."""

    def __init__(self, client, call, after):
        self._client, self.left, self._after = client, call, after

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*args, **kwargs):
            self.left -= 1
            if self.left == 0 and not self._after:
                raise SystemExit
            result = method(*args, **kwargs)
            if self.left == 0:
                raise SystemExit
            return result

        return call


@pytest.mark.parametrize("after", [False, True])
def test_killed_anywhere_it_brings_the_rest_the_next_time(folder, monkeypatch, after):
    kills = 0
    while True:
        offline(folder, monkeypatch, name=f"run{kills}")
        sync, real = Sync(Path("runs")), TrackingStore(store(folder), "e", folder / "runs")
        killed = KilledAt(real.client, kills + 1, after)
        sync._store = lambda *_, real=real, killed=killed: (setattr(real, "client", killed), real)[1]
        sync._finish = lambda *_: None  # there is no parent run here
        try:
            sync.run()
            break
        except SystemExit:
            again = Sync(Path("runs"))
            again._finish = lambda *_: None
            again.run()
            assert (again.sent, again.failed) == (1, 0)
            assert_sent(folder, name=f"run{kills}")
            kills += 1
    # run, params, metrics twice, tags, artifacts, status, and the questions before them
    assert kills >= 8
    assert journals(folder / "runs" / "local") == {}


def test_each_run_as_it_ended(folder, monkeypatch, capsys):
    offline(folder, monkeypatch, name="done")
    offline(folder, monkeypatch, name="dead", status="RUNNING")
    some = next(iter(journals(folder / "runs" / "local").values()))
    alive = Journal.start(folder / "runs" / "local", replace(some, key="alive", status="RUNNING"))
    sync = Sync(Path("runs"))
    sync._finish = lambda *_: None
    sync.run()
    assert (sync.sent, sync.alive, sync.failed) == (2, 1, 0)
    assert "done: FINISHED, run " in capsys.readouterr().out
    assert_sent(folder, name="done")
    assert_sent(folder, name="dead", status="KILLED")
    alive.close()


def test_one_store_that_does_not_answer_keeps_nothing_else_back(folder, monkeypatch, capsys):
    offline(folder, monkeypatch, name="here")
    offline(folder, monkeypatch, name="there")
    (there,) = [path for path, record in journals(folder / "runs" / "local").items() if record.name == "there"]
    record = json.loads((there / "run.json").read_text())
    (there / "run.json").write_text(json.dumps(record | {"uri": "http://127.0.0.1:9"}))
    sync = Sync(Path("runs"))
    sync._finish = lambda *_: None
    sync.run()
    assert (sync.sent, sync.failed) == (1, 1)
    assert "there: not sent (tracking.uri=http://127.0.0.1:9: no tracking store answers" in capsys.readouterr().out
    assert_sent(folder, name="here")
    # the store that moved
    moved = Sync(Path("runs"), store(folder))
    moved._finish = lambda *_: None
    moved.run()
    assert_sent(folder, name="there")


def test_a_damaged_journal_is_named_and_keeps_nothing_else_back(folder, monkeypatch, capsys):
    offline(folder, monkeypatch, name="damaged")
    (damaged,) = journals(folder / "runs" / "local")
    (damaged / "run.json").write_bytes(b"{")
    offline(folder, monkeypatch, name="whole")
    monkeypatch.setattr(Sync, "_finish", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["sync"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    out, _ = capsys.readouterr()
    assert out.startswith(f"{damaged.relative_to(folder) / 'run.json'}: damaged (")
    assert out.endswith("1 sent, 0 still running, 1 not sent\n")
    assert_sent(folder, name="whole")


def test_a_store_s_password_is_given_again(folder, monkeypatch):
    offline(folder, monkeypatch)
    (path,) = journals(folder / "runs" / "local")
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(record | {"uri": "postgresql://me:***@host/db"}))
    asked = []
    sync = Sync(Path("runs"), "postgresql://me:secret@host/db")
    sync._store = lambda uri, experiment: (asked.append(uri), SimpleNamespace(deliver=lambda journal: None))[1]
    sync._finish = lambda *_: None
    sync.run()
    assert asked == ["postgresql://me:secret@host/db"]


@pytest.mark.parametrize("arguments", [["tracking.url=x"], ["tracking.uri="], ["x"]])
def test_a_slip_is_told(arguments):
    with pytest.raises(UserError, match=r"must be tracking\.uri=URI"):
        options_of(arguments)


def test_the_command(folder):
    done = subprocess.run([sys.executable, "-m", "bnexp.sync"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 sent, 0 still running, 0 not sent\n", "")


def test_eight_processes_on_one_new_store(folder):
    """All at once, on a file that none of them finds: every run is there, whole, once."""
    line = [sys.executable, str(Path(eight_runs.__file__)), str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    ids = done.stdout.split()
    found = client(folder)
    runs = found.search_runs([found.get_experiment_by_name("e").experiment_id])
    assert sorted(run.info.run_id for run in runs) == sorted(ids)
    for run in runs:
        number = int(run.data.params["number"])
        assert (run.info.status, run.data.tags["done"]) == ("FINISHED", "yes")
        for i in range(5):
            history = found.get_metric_history(run.info.run_id, f"m{i}")
            assert [metric.value for metric in history] == [
                number + step * i for step in range(1, eight_runs.STEPS + 1)
            ]
        stored = folder / "runs" / "artifacts" / run.info.run_id / "artifacts" / "file"
        assert stored.read_text() == str(number)
    assert journals(folder / "runs" / "local") == {}
