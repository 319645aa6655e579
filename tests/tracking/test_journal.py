"""A run's journal: whole whatever happens to the process, and never without a word where it is not."""

import json
from pathlib import Path

import pytest

from bnexp.errors import UserError
from bnexp.tracking import journal as module
from bnexp.tracking.journal import Journal, Point, RunRecord, journals, read_record


def recorded(**changes):
    given = {"name": "n", "uri": "u", "experiment": "e", "parent": "", "params": {"a": "1"}, "tags": {}, "started": 7}
    return RunRecord(**(given | changes))


@pytest.fixture
def local(tmp_path):
    return tmp_path / "local"


def died(local, **changes):
    """Makes a journal of a process that was killed after it logged one step."""
    journal = Journal.start(local, recorded(**changes))
    journal.log({"m": 0.1, "k": 2.0}, step=1)
    journal._file.close()
    journal._lock.release()
    return journal.folder


def test_everything_is_there_after_a_kill(local):
    folder = died(local)
    journal = Journal.open(folder)
    assert journal.record == recorded(key=folder.name)
    assert [(point.key, point.value, point.step) for point in journal.points] == [("m", 0.1, 1), ("k", 2.0, 1)]
    assert all(isinstance(point, Point) and point.time > 1.6e12 for point in journal.points)
    journal.update(run_id="r")
    journal.close()
    assert journals(local) == {folder: recorded(key=folder.name, run_id="r")}


def test_a_live_run_is_told_from_a_dead_one(local):
    journal = Journal.start(local, recorded())
    assert Journal.open(journal.folder) is None
    journal.close()
    again = Journal.open(journal.folder)
    assert again.record == journal.record
    again.close()


def test_what_was_logged_before_is_not_logged_again(local):
    journal = Journal.open(died(local))
    assert journal.log({"m": 0.1, "new": 3.0}, step=1) == [Point("new", 3.0, journal.points[-1].time, 1)]
    assert journal.log({"m": 0.1}, step=1) == []
    assert [point.step for point in journal.log({"m": 0.1}, step=2)] == [2]
    journal.close()
    assert len((journal.folder / "metrics.jsonl").read_bytes().splitlines()) == 3


def test_a_torn_last_line_is_dropped(local):
    folder = died(local)
    for torn in (b'{"step":2,"time":8,"metr', b'{"step":2'):
        with (folder / "metrics.jsonl").open("ab") as file:
            file.write(torn)
        journal = Journal.open(folder)
        assert [point.step for point in journal.points] == [1, 1]
        journal.close()
    journal = Journal.open(folder)
    journal.log({"m": 0.2}, step=2)
    journal.close()
    reopened = Journal.open(folder)
    assert [point.step for point in reopened.points] == [1, 1, 2]
    reopened.close()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("run.json", b'{"name": "n"', "Expecting"),
        ("run.json", b'{"nam": "n"}', "unexpected keyword argument 'nam'"),
        ("metrics.jsonl", b"no line of ours\n", "line 1: Expecting value"),
        ("metrics.jsonl", b'{"step":1,"time":2,"metrics":{}}\n{}\n', "line 2: 'metrics'"),
    ],
)
def test_damage_is_named(local, name, content, reason):
    folder = died(local)
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        Journal.open(folder)
    assert str(caught.value).startswith(f"{folder / name}: damaged (")
    assert reason in str(caught.value)
    # and whoever mends it can have it
    (folder / name).unlink()
    if name == "metrics.jsonl":
        Journal.open(folder).close()


def test_a_damaged_one_is_named_once_and_the_others_are_found(local, capsys):
    damaged, whole = died(local), died(local)
    (damaged / "run.json").write_bytes(b"{")
    for _ in range(2):
        assert list(journals(local)) == [whole]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bnexp: {damaged / 'run.json'}: damaged (")


@pytest.mark.parametrize("status", ["FINISHED", "KILLED", "FAILED"])
@pytest.mark.parametrize("savepoint", [False, True])
def test_what_nobody_needs_any_more_is_removed(local, status, savepoint):
    journal = Journal.open(died(local))
    if savepoint:
        journal.savepoint.mkdir()
    journal.end(status)
    journal.update(delivered=True)
    journal.close()
    # the training of an interrupted run may go on
    assert journal.folder.exists() == (savepoint and status != "FINISHED")
    assert Journal.open(Path(local, "gone")) is None


def test_a_removal_that_was_cut_short_is_completed(local):
    folder = died(local)
    (folder / "run.json").unlink()
    assert journals(local) == {}
    assert Journal.open(folder) is None
    assert not folder.exists()


def test_a_start_that_was_cut_short_is_no_journal(local, monkeypatch):
    monkeypatch.setattr(module, "_write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Journal.start(local, recorded())
    assert journals(local) == {}


def test_artifacts_are_copied_whole(local, tmp_path):
    (tmp_path / "made" / "deep").mkdir(parents=True)
    (tmp_path / "made" / "deep" / "file").write_bytes(b"x" * 1000)
    folder = died(local)
    # what a kill leaves of a file that was being written
    (folder / "artifacts" / ".file.123").write_bytes(b"x")
    journal = Journal.open(folder)
    journal.keep(tmp_path / "made")
    journal.close()
    assert [path for path in (folder / "artifacts").rglob("*") if path.is_file()] == [
        folder / "artifacts" / "deep" / "file"
    ]
    assert (folder / "artifacts" / "deep" / "file").read_bytes() == b"x" * 1000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_named(local, monkeypatch):
    monkeypatch.setattr(module, "METRICS", "/dev/full")
    journal = Journal.start(local, recorded())
    with pytest.raises(UserError) as caught:
        journal.log({"m": 1.0}, step=1)
    assert str(caught.value) == (
        f"{journal.folder}: cannot be written (No space left on device). What was written before is kept; make room, "
        "then continue the run with resume=true."
    )
    with pytest.raises(UserError):
        journal.close()
    assert read_record(journal.folder).status == "RUNNING"


def test_run_json_is_for_people_too(local):
    folder = died(local)
    assert json.loads((folder / "run.json").read_text())["params"] == {"a": "1"}
