"""Earlier attempts at a run: one that finished, or one to continue and those that it supersedes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bnexp.errors import say
from bnexp.names import PARENT_TAG
from bnexp.tracking.journal import Journal, RunRecord, journals
from bnexp.tracking.store import TrackingStore


@dataclass(frozen=True)
class Finished:
    """A run that finished before, as its store or its journal has it.

    Attributes:
        run_id: the run's id in MLflow; the journal's key if the store does not have the run yet.
        metrics: the last value of each metric by name.
        tags: the run's tags by name.
    """

    run_id: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass
class Attempts:
    """The earlier attempts at a run.

    Attributes:
        finished: the attempt that finished; the others then do not matter.
        interrupted: the journal of the newest other attempt that was made on this machine, open and locked; None if
            there is none.
        superseded: the ids in MLflow of older attempts that must be deleted from the store.
    """

    finished: Finished | None = None
    interrupted: Journal | None = None
    superseded: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Closes the journal of the interrupted attempt, so that another process may continue it."""
        if self.interrupted:
            self.interrupted.close()
            self.interrupted = None


@dataclass(frozen=True)
class AttemptKey:
    """What all attempts at one run have in common, and no other runs.

    Attributes:
        tags: the tags that only attempts at this run have.
        parent: the run id of the sweep that the run belongs to; empty if it belongs to none.
        uri: the tracking URI of the run, without a password.
        experiment: the name of the run's experiment.
    """

    tags: Mapping[str, str]
    parent: str
    uri: str
    experiment: str

    def journals(self, local: Path) -> list[Path]:
        """Returns the journal folders of these attempts on this machine, newest first.

        Args:
            local: the folder of all journals.
        """
        wanted = (self.parent, self.uri, self.experiment)
        return [
            folder
            for folder, record in reversed(journals(local).items())
            if (record.parent, record.uri, record.experiment) == wanted and self.tags.items() <= record.tags.items()
        ]


def find_attempts(identity: AttemptKey, local: Path, store: TrackingStore) -> Attempts:
    """Looks for earlier attempts at a run in the journals on this machine and in the tracking store.

    An attempt without a journal here was made on another machine. If it is a job of a sweep it is superseded, since a
    sweep is resumed only when none of its jobs is running. If not, it may still be running and is left alone.

    Args:
        identity: what the attempts have in common.
        local: the folder of all journals; those of older, superseded attempts are removed.
        store: the tracking store of the run.
    """
    found = Attempts()
    for folder in identity.journals(local):
        journal = open_when_dead(folder)
        if journal and journal.record.status == "FINISHED":
            points = {point.key: point.value for point in journal.points}
            found.finished = Finished(journal.record.run_id or journal.record.key, points, journal.record.tags)
            journal.close()
        elif journal and found.interrupted:
            found.superseded += [journal.record.run_id] if journal.record.run_id else []
            journal.remove()
            journal.close()
        elif journal:
            found.interrupted = journal
    going_on = found.interrupted.record.run_id if found.interrupted else ""
    for run in store.tagged(dict(identity.tags) | ({PARENT_TAG: identity.parent} if identity.parent else {})):
        if run.info.status == "FINISHED" and run.data.tags.get(PARENT_TAG, "") == identity.parent:
            found.finished = Finished(run.info.run_id, dict(run.data.metrics), dict(run.data.tags))
        elif identity.parent and run.info.run_id not in (going_on, *found.superseded):
            found.superseded.append(run.info.run_id)
    if found.finished:
        found.close()
    return found


def open_when_dead(folder: Path) -> Journal | None:
    """Opens a journal; if a process is still working on the run, after that one.

    Args:
        folder: the folder of the journal.

    Returns:
        The journal, open and locked; None if it has been removed meanwhile.

    Raises:
        UserError: a file of the journal is damaged.
    """
    journal = Journal.open(folder)
    if journal is None and folder.exists():
        say("another process is still at this run; waiting for it")
        journal = Journal.open(folder, wait=True)
    return journal


def deliver(folder: Path, store_of: Callable[[], TrackingStore | None]) -> RunRecord | None:
    """Sends the journal of a run that has ended to its store; a run whose process died ends as KILLED.

    Args:
        folder: the folder of the journal.
        store_of: returns the store; called only if something is left to send. If it returns None, nothing is sent.

    Returns:
        The record of the run; None if a process is still working on it.

    Raises:
        UserError: a file of the journal is damaged.
        Exception: any error of the store. Nothing is lost then, and another call sends what is missing.

    Example:
        >>> record = deliver(folder, lambda: store)
    """
    journal = Journal.open(folder)
    if journal is None:
        return None
    try:
        if journal.record.status == "RUNNING":
            journal.end("KILLED", "the process died")
        if not journal.record.delivered and (store := store_of()):
            store.deliver(journal)
        return journal.record
    finally:
        journal.close()
