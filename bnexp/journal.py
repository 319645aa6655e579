"""A run's record on the local disk, written before anything goes to a tracking store.

Whatever the store does, it is here:

    runs/local/<key>/run.json         name, params, tags, where it is tracked, how it ended
                     metrics.jsonl    a line for each step that was logged
                     artifacts/       what the store gets as artifacts
                     savepoint/       where the training of an interrupted run stands
                     lock             held while the run lives, so that a live run is told from a dead one

A journal whose run has ended, and all of which is in its store, is removed; that of an interrupted run stays, for it
may be resumed.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import uuid4

from filelock import FileLock, Timeout

from bnexp.checkpoint import write_whole
from bnexp.errors import UserError, first_line, say

RUN, METRICS, ARTIFACTS, SAVEPOINT, LOCK = "run.json", "metrics.jsonl", "artifacts", "savepoint", "lock"

# a sweep looks through its journals again and again
_say_once = cache(say)


class Point(NamedTuple):
    """One value of a metric.

    Attributes:
        key: the metric's name.
        value: finite.
        time: milliseconds since 1970.
        step: training steps done.
    """

    key: str
    value: float
    time: int
    step: int


@dataclass(frozen=True)
class Facts:
    """What run.json holds.

    Attributes:
        name: of the run.
        uri: of its tracking store, without a password.
        experiment: by name.
        parent: the run id of its sweep; none where it stands alone.
        params: as MLflow will have them, so text.
        tags: likewise.
        started: milliseconds since 1970.
        key: its own, also the tag `bnexp.key`: how a store is asked whether it has the run already.
        run_id: in MLflow; none before the store has it.
        status: `"RUNNING"` until it ends, then `"FINISHED"`, `"FAILED"` or `"KILLED"`.
        ended: milliseconds since 1970; 0 until it ends.
        delivered: whether everything here is in the store.
        resumed: how often the run was continued.
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
    """One run's folder, open and locked; made by `start` or `open`."""

    def __init__(self, folder: Path, lock: FileLock, facts: Facts) -> None:
        self.folder, self._lock, self.facts = folder, lock, facts
        self.artifacts, self.savepoint = folder / ARTIFACTS, folder / SAVEPOINT
        self.points = _read_points(folder / METRICS)
        self._known = {(point.key, point.step) for point in self.points}
        self._file = (folder / METRICS).open("ab")

    @classmethod
    def start(cls, local: Path, facts: Facts) -> Self:
        """Makes the journal of a new run under `local`; it appears there whole and locked.

        Raises:
            UserError: the disk does not take it.
        """
        hidden, folder = local / f".{facts.key}", local / facts.key
        with _told(folder):
            (hidden / ARTIFACTS).mkdir(parents=True)
            lock = FileLock(hidden / LOCK)
            lock.acquire()
            _write(hidden, facts)
            hidden.rename(folder)
            return cls(folder, lock, facts)

    @classmethod
    def open(cls, folder: Path, *, wait: bool = False) -> Self | None:
        """Opens the journal of a run that no process works on any more.

        Args:
            folder: one of `journals`.
            wait: whether to wait for a process that still does.

        Returns:
            None where a process does, or where the journal is gone by now.

        Raises:
            UserError: a file of it is damaged.
        """
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(blocking=wait)
        except Timeout:
            return None
        facts = read_facts(folder)
        if facts is None:  # what a removal that was cut short has left, or only the lock just made
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            return None
        try:
            _drop_torn_line(folder / METRICS)
            for unfinished in (folder / ARTIFACTS).rglob(".*"):
                unfinished.unlink()
            return cls(folder, lock, facts)
        except BaseException:
            lock.release()
            raise

    def update(self, **changes: Any) -> None:
        """Changes facts, on the disk as well."""
        self.facts = replace(self.facts, **changes)
        with _told(self.folder):
            _write(self.folder, self.facts)

    def log(self, metrics: Mapping[str, float], *, step: int) -> list[Point]:
        """Notes metrics of one step.

        Returns:
            Those that are new: a resumed run repeats what it had measured after the savepoint it starts from.
        """
        now = int(time.time() * 1000)
        new = {key: float(value) for key, value in metrics.items() if (key, step) not in self._known}
        if not new:
            return []
        points = [Point(key, value, now, step) for key, value in new.items()]
        self.points += points
        self._known |= {(key, step) for key in new}
        line = json.dumps({"step": step, "time": now, "metrics": new}, separators=(",", ":"))
        with _told(self.folder):
            self._file.write(line.encode() + b"\n")
            self._file.flush()  # to the operating system, which keeps it if this process is killed
        return points

    def keep(self, folder: Path) -> None:
        """Copies everything in `folder` to the artifacts."""
        with _told(self.folder):
            for path in folder.rglob("*"):
                if path.is_file():
                    copy = self.artifacts / path.relative_to(folder)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    write_whole(copy, path.read_bytes())

    def end(self, status: str, error: str = "") -> None:
        """Notes how the run ended."""
        tags = dict(self.facts.tags) | ({"bnexp.error": error} if error else {})
        self.update(status=status, ended=int(time.time() * 1000), tags=tags)

    def close(self) -> None:
        """Lets go of the journal: removed if nothing will need it any more."""
        try:
            with _told(self.folder):
                self._file.close()
        finally:
            if self.facts.delivered and (self.facts.status == "FINISHED" or not self.savepoint.is_dir()):
                self.remove()
            self._lock.release()

    def remove(self) -> None:
        """Removes the folder; without its run.json it is none of `journals`."""
        (self.folder / RUN).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def journals(local: Path, told: Callable[[str], None] = _say_once) -> dict[Path, Facts]:
    """Returns the journals under `local`, those of live runs too, in the order in which the runs started.

    Args:
        local: the folder of all journals.
        told: gets a message for each whose run.json is damaged, which is left out.
    """
    present: dict[Path, Facts] = {}
    for folder in local.glob("[!.]*"):
        try:
            facts = read_facts(folder) if folder.is_dir() else None
        except UserError as error:
            told(str(error))
        else:
            present |= {folder: facts} if facts else {}
    return dict(sorted(present.items(), key=lambda item: item[1].started))


def read_facts(folder: Path) -> Facts | None:
    """Returns what a journal's run.json holds; None where there is none.

    Raises:
        UserError: it is damaged.
    """
    try:
        return Facts(**json.loads((folder / RUN).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise UserError(_damaged(folder / RUN, first_line(error))) from error


def _write(folder: Path, facts: Facts) -> None:
    write_whole(folder / RUN, json.dumps(asdict(facts), indent=1).encode())


def _drop_torn_line(path: Path) -> None:
    """Cuts off a last line that a kill left unfinished."""
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
    return f"{path}: damaged ({reason}). Move its folder away; that run's results are lost with it, no others."


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Makes one message of a disk that does not take what is written."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror or first_line(error)}). What was written before is kept; "
            "make room, then continue the run with resume=true."
        ) from error
