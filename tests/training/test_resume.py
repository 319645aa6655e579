"""resume=true: what finished is not run again, and what was interrupted goes on in its own run to the same end."""

import shutil
import signal

import numpy as np
import pytest
from kill_sweep import contents, runs_of
from small import ONE_LAYER, client, run_here

from bnexp.errors import UserError
from bnexp.record.progress import log_snapshot
from bnexp.runtime.signals import Interrupted
from bnexp.tracking.journal import journals
from bnexp.training import savepoint

SIGTERM = Interrupted(signal.SIGTERM)

SMALL = ("dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4", "steps=12")


@pytest.fixture
def interrupt(monkeypatch):
    """Has runs be interrupted right after a step, and with 0 no more."""
    monkeypatch.setattr(savepoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(savepoint, "TIMES_ITS_OWN", 0)

    def after(stop, error=SIGTERM):
        def log(tracker, model, snapshot, *, steps):
            log_snapshot(tracker, model, snapshot, steps=steps)
            if snapshot.step == stop:
                raise error

        monkeypatch.setattr("bnexp.record.progress.log_snapshot", log)

    return after


@pytest.fixture(autouse=True, scope="module")
def no_pictures():
    # they take a third of a run's time
    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_trajectories", "plot_estimators"):
            patch.setattr(f"bnexp.record.artifacts.{name}", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """All that a run records of which nothing went wrong, by name."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return contents(folder, client(folder).get_run(run_here(folder, *SMALL).run_id))


def only_job(folder):
    (run,) = runs_of(folder)[1]
    return run


def assert_same(folder, run_id, expected):
    found = contents(folder, client(folder).get_run(run_id))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_an_interrupted_run_goes_on_in_its_own_run(folder, interrupt, uninterrupted, capsys):
    """Twice interrupted, with metrics logged beyond the savepoint, and the same to the last bit in the end."""
    for stop, error in ((5, SIGTERM), (9, RuntimeError("out of luck"))):
        interrupt(stop, error)
        with pytest.raises(type(error)):
            run_here(folder, *SMALL, "resume=true")
        assert only_job(folder).data.tags["bnexp.error"] == str(error)
    (journal,) = journals(folder / "runs" / "local")
    assert (journal / "savepoint" / "step-8.npz").is_file()
    interrupt(0)
    capsys.readouterr()
    result = run_here(folder, *SMALL, "resume=true")
    assert "resumed after step 8" in capsys.readouterr().out
    run = only_job(folder)
    assert (run.info.run_id, run.info.status) == (result.run_id, "FINISHED")
    assert run.data.tags["bnexp.resumed"] == "2"
    assert "bnexp.error" not in run.data.tags
    assert not journals(folder / "runs" / "local")
    assert_same(folder, result.run_id, uninterrupted)


def test_a_damaged_savepoint_is_named_and_the_training_starts_over(folder, interrupt, uninterrupted, capsys):
    interrupt(7)
    with pytest.raises(Interrupted):
        run_here(folder, *SMALL)
    (savepoint,) = (folder / "runs" / "local").rglob("step-6.npz")
    savepoint.write_bytes(savepoint.read_bytes()[:1000])
    interrupt(0)
    result = run_here(folder, *SMALL, "resume=true")
    out = capsys.readouterr().out
    assert f"{savepoint.relative_to(folder)} is damaged: it should have" in out.replace("\n", " ")
    assert "resumed after" not in out
    assert only_job(folder).info.run_id == result.run_id
    assert_same(folder, result.run_id, uninterrupted)


def test_a_finished_run_is_not_run_again(folder, capsys, monkeypatch):
    first = run_here(folder, *SMALL)
    report = capsys.readouterr().out.splitlines()
    monkeypatch.setattr("bnexp.run.make", lambda *_: pytest.fail("something was built"))
    # neither the order of the command line nor how it is run makes it another
    again = run_here(folder, *SMALL[::-1], "reuse=false", "resume=true")
    assert (again.run_id, again.verdict) == (first.run_id, first.verdict)
    assert first.metrics.items() <= dict(again.metrics).items()
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"finished before: run {first.run_id}, not run again"
    assert [line for line in report if line not in told] == report[:1]  # the device is not looked for
    assert only_job(folder).info.run_id == first.run_id


def test_a_job_whose_journal_is_elsewhere_is_replaced(folder, monkeypatch, interrupt):
    """Begun on a machine that is gone: the sweep ends with one run of it, and nothing that is RUNNING."""
    monkeypatch.setenv("BNEXP_PARENT_RUN_ID", "0123")
    interrupt(5)
    with pytest.raises(Interrupted):
        run_here(folder, *SMALL, sweep=True)
    dead = only_job(folder).info.run_id
    shutil.rmtree(folder / "runs" / "local")
    client(folder).update_run(dead, status="RUNNING")
    interrupt(0)
    result = run_here(folder, *SMALL, "resume=true", sweep=True)
    assert result.run_id != dead
    assert only_job(folder).info.run_id == result.run_id
    assert client(folder).get_run(dead).info.lifecycle_stage == "deleted"
    # a job that failed before it could start is tried again in its own place, too
    for _ in range(2):
        with pytest.raises(UserError):
            run_here(folder, *SMALL, "decay=1.5", "resume=true", sweep=True)
    assert sorted(run.info.status for run in runs_of(folder)[1]) == ["FAILED", "FINISHED"]


def test_a_run_alone_leaves_those_of_other_machines_alone(folder, interrupt):
    interrupt(5)
    with pytest.raises(Interrupted):
        run_here(folder, *SMALL)
    elsewhere = only_job(folder).info.run_id
    shutil.rmtree(folder / "runs" / "local")
    interrupt(0)
    result = run_here(folder, *SMALL, "resume=true")
    assert {run.info.run_id for run in runs_of(folder)[1]} == {elsewhere, result.run_id}
