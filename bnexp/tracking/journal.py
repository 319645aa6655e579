"""A run's record on the local disk, written before anything is sent to a tracking store.

Whatever happens to the store, the journal has it all:

    runs/local/<key>/run.json         name, params, tags, where the run is tracked, how it ended
                     metrics.jsonl    a line for each step that was logged
                     artifacts/       the artifacts to be sent to the store
                     savepoint/       the state of the run's training, for resuming it
                     lock             held while the run's process lives

A journal is removed when its run has ended and the store has all of it. That of an interrupted run with a savepoint
stays, since the run may be resumed.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import uuid4

from filelock import FileLock, Timeout

from bnexp.errors import UserError, first_line, say
from bnexp.names import ERROR_TAG
from bnexp.storage.arrays import write_whole
from bnexp.storage.folders import refusals_told

RUN, METRICS, ARTIFACTS, SAVEPOINT, LOCK = "run.json", "metrics.jsonl", "artifacts", "savepoint", "lock"

# a sweep reads all journals several times, and would repeat its messages
_say_once = cache(say)


class Point(NamedTuple):
    """One value of a metric.

    Attributes:
        key: the metric's name, `"train/loss"`.
        value: the value, a finite number.
        time: the time at which it was logged, in milliseconds since 1970.
        step: the number of training steps done.
    """

    key: str
    value: float
    time: int
    step: int


@dataclass(frozen=True)
class RunRecord:
    """What run.json holds.

    Attributes:
        name: the run's name in MLflow.
        uri: the tracking URI of the run, without a password.
        experiment: the name of the run's experiment.
        parent: the run id of the sweep that the run belongs to; empty if none.
        params: the run's params by name, as text, as MLflow stores them.
        tags: the run's tags by name, as text.
        started: the time at which the run started, in milliseconds since 1970.
        key: the unique name of the journal; also the tag `bnexp.key`, by which a store is asked whether it has the run.
        run_id: the run's id in MLflow; empty before the store has the run.
        status: `"RUNNING"` until the run ends, then `"FINISHED"`, `"FAILED"` or `"KILLED"`.
        ended: the time at which the run ended, in milliseconds since 1970; 0 until then.
        delivered: whether the store has everything that the journal has.
        resumed: how many times the run was continued.
    """

    name: str
    uri: str
    experiment: str
    parent: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    started: int
    key: str = field(default_factory=lambda: uuid4().hex)
    run_id: str = ""
    status: str = "RUNNING"
    ended: int = 0
    delivered: bool = False
    resumed: int = 0


class Journal:
    """The journal of one run, open and locked; made by `start` or `open`.

    Attributes:
        folder: the folder of the journal.
        record: what run.json holds.
        artifacts: the folder of the artifacts.
        savepoint: the folder of the savepoint, which may not exist.
        points: all values of metrics that were logged.

    Example:
        >>> journal = Journal.start(Path("runs/local"), record)
        >>> journal.log({"train/loss": 2.3}, step=1)
        [Point(key='train/loss', value=2.3, time=..., step=1)]
        >>> journal.end("FINISHED")
        >>> journal.close()
    """

    def __init__(self, folder: Path, lock: FileLock, record: RunRecord) -> None:
        self.folder, self._lock, self.record = folder, lock, record
        self.artifacts, self.savepoint = folder / ARTIFACTS, folder / SAVEPOINT
        self.points = _read_points(folder / METRICS)
        self._known = {(point.key, point.step) for point in self.points}
        self._file = (folder / METRICS).open("ab")

    @classmethod
    def start(cls, local: Path, record: RunRecord) -> Self:
        """Makes the journal of a new run, which appears under `local` complete and locked.

        Args:
            local: the folder of all journals.
            record: the record of the new run.

        Raises:
            UserError: the disk does not accept it.
        """
        hidden, folder = local / f".{record.key}", local / record.key
        with refusals_told(folder):
            (hidden / ARTIFACTS).mkdir(parents=True)
            lock = FileLock(hidden / LOCK)
            lock.acquire()
            _write(hidden, record)
            hidden.rename(folder)
            return cls(folder, lock, record)

    @classmethod
    def open(cls, folder: Path, *, wait: bool = False) -> Self | None:
        """Opens the journal of a run that no process is working on.

        Args:
            folder: the folder of the journal, one of `journals`.
            wait: whether to wait for the end of a process that is still working on the run.

        Returns:
            The journal; None if a process is working on the run, or if the journal has been removed.

        Raises:
            UserError: a file of the journal is damaged.
        """
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            return None
        record = read_record(folder)
        if record is None:  # the rest of an interrupted removal, or only the lock that was just made
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            return None
        try:
            _drop_torn_line(folder / METRICS)
            for unfinished in (folder / ARTIFACTS).rglob(".*"):
                unfinished.unlink()
            return cls(folder, lock, record)
        except BaseException:
            lock.release()
            raise

    def update(self, **changes: Any) -> None:
        """Changes fields of the record, also on the disk.

        Args:
            **changes: the new values by the names of `RunRecord`'s attributes.

        Raises:
            UserError: the disk does not accept it.
        """
        self.record = replace(self.record, **changes)
        with refusals_told(self.folder):
            _write(self.folder, self.record)

    def log(self, metrics: Mapping[str, float], *, step: int) -> list[Point]:
        """Records the metrics of one step.

        Args:
            metrics: the values by name, finite numbers.
            step: the number of training steps done.

        Returns:
            The values that are new: a resumed run repeats those that it logged after its savepoint.

        Raises:
            UserError: the disk does not accept it.
        """
        now = int(time.time() * 1000)
        new = {key: float(value) for key, value in metrics.items() if (key, step) not in self._known}
        if not new:
            return []
        points = [Point(key, value, now, step) for key, value in new.items()]
        self.points += points
        self._known |= {(key, step) for key in new}
        line = json.dumps({"step": step, "time": now, "metrics": new}, separators=(",", ":"))
        with refusals_told(self.folder):
            self._file.write(line.encode() + b"\n")
            self._file.flush()  # the operating system then has the line, even if this process is killed
        return points

    def keep(self, folder: Path) -> None:
        """Copies all files in `folder` to the artifacts, each atomically.

        Raises:
            UserError: the disk does not accept it.
        """
        with refusals_told(self.folder):
            for path in folder.rglob("*"):
                if path.is_file():
                    copy = self.artifacts / path.relative_to(folder)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(copy, path.read_bytes())

    def end(self, status: str, error: str = "") -> None:
        """Records how the run ended.

        Args:
            status: `"FINISHED"`, `"FAILED"` or `"KILLED"`.
            error: why it did not finish, which becomes the tag `bnexp.error`; empty if it did.

        Raises:
            UserError: the disk does not accept it.
        """
        tags = dict(self.record.tags) | ({ERROR_TAG: error} if error else {})
        self.update(status=status, ended=int(time.time() * 1000), tags=tags)

    def close(self) -> None:
        """Unlocks the journal, and removes it if it is delivered and the run has finished or left no savepoint."""
        try:
            with refusals_told(self.folder):
                self._file.close()
        finally:
            if self.record.delivered and (self.record.status == "FINISHED" or not self.savepoint.is_dir()):
                self.remove()
            self._lock.release()

    def remove(self) -> None:
        """Removes the folder, run.json first, without which it no longer counts as a journal."""
        (self.folder / RUN).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def journals(local: Path, told: Callable[[str], None] = _say_once) -> dict[Path, RunRecord]:
    """Returns the records of all journals by folder, also of running runs, in the order in which the runs started.

    Args:
        local: the folder of all journals.
        told: called with a message for each journal whose run.json is damaged; it is left out of the result.

    Example:
        >>> [record.status for record in journals(Path("runs/local")).values()]
        ['KILLED', 'RUNNING']
    """
    present: dict[Path, RunRecord] = {}
    for folder in local.glob("[!.]*"):
        try:
            record = read_record(folder) if folder.is_dir() else None
        except UserError as error:
            told(str(error))
        else:
            present |= {folder: record} if record else {}
    return dict(sorted(present.items(), key=lambda item: item[1].started))


def read_record(folder: Path) -> RunRecord | None:
    """Returns what a journal's run.json holds; None if the file does not exist.

    Args:
        folder: the folder of the journal.

    Raises:
        UserError: the file is damaged.

    Example:
        >>> read_record(Path("runs/local/no-such-key")) is None
        True
    """
    try:
        return RunRecord(**json.loads((folder / RUN).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UserError(_damaged(folder / RUN, first_line(error))) from error


def _write(folder: Path, record: RunRecord) -> None:
    write_whole(folder / RUN, json.dumps(asdict(record), indent=1).encode())


def _drop_torn_line(path: Path) -> None:
    """Removes an incomplete last line, which a killed process may leave."""
    if path.is_file():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as file:
                file.truncate(whole)


def _read_points(path: Path) -> list[Point]:
    points: list[Point] = []
    if path.is_file():
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                entry = json.loads(line)
                points += [Point(key, value, entry["time"], entry["step"]) for key, value in entry["metrics"].items()]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UserError(_damaged(path, f"line {number}: {first_line(error)}")) from error
    return points


def _damaged(path: Path, reason: str) -> str:
    return f"{path}: damaged ({reason}). Move its folder away; only that run's results are lost with it."
