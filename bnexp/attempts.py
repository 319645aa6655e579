"""Earlier attempts at a run: the one that finished, or else the one to go on with and those that it replaces."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bnexp.errors import say
from bnexp.journal import Facts, Journal, journals
from bnexp.tracking_store import PARENT_TAG, TrackingStore


@dataclass(frozen=True)
class Finished:
    """A run that finished before, as its store or its journal has it.

    Attributes:
        run_id: in MLflow; the journal's key where the store does not have it yet.
        metrics: the last value of each.
        tags: the run's.
    """

    run_id: str
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass
class Attempts:
    """What became of a run so far; with one that finished, nothing else counts.

    Attributes:
        finished: the attempt that did.
        interrupted: the newest other that has its journal here, open and locked.
        superseded: the run ids of those that have not, or are older, as far as they are to be deleted.
    """

    finished: Finished | None = None
    interrupted: Journal | None = None
    superseded: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Lets go of the interrupted attempt."""
        if self.interrupted:
            self.interrupted.close()
            self.interrupted = None


@dataclass(frozen=True)
class Identity:
    """What all attempts at one run share, and no other runs.

    Attributes:
        tags: that tell it from other runs.
        parent: the run id of its sweep; none where it stands alone.
        uri: of its tracking store, without a password.
        experiment: by name.
    """

    tags: Mapping[str, str]
    parent: str
    uri: str
    experiment: str

    def journals(self, local: Path) -> list[Path]:
        """Returns the journals of the attempts made here, the newest first."""
        wanted = (self.parent, self.uri, self.experiment)
        return [
            folder
            for folder, facts in reversed(journals(local).items())
            if (facts.parent, facts.uri, facts.experiment) == wanted and self.tags.items() <= facts.tags.items()
        ]


def find_attempts(identity: Identity, local: Path, store: TrackingStore) -> Attempts:
    """Looks for earlier attempts at a run, here and in its store.

    Attempts that were made elsewhere, without a journal here, are superseded where they are a sweep's jobs: resuming a
    sweep says that nobody works on it. Those of a run that stands alone may live on another machine.
    """
    found = Attempts()
    for folder in identity.journals(local):
        journal = open_when_dead(folder)
        if journal and journal.facts.status == "FINISHED":
            points = {point.key: point.value for point in journal.points}
            found.finished = Finished(journal.facts.run_id or journal.facts.key, points, journal.facts.tags)
            journal.close()
        elif journal and found.interrupted:
            found.superseded += [journal.facts.run_id] if journal.facts.run_id else []
            journal.remove()
            journal.close()
        elif journal:
            found.interrupted = journal
    going_on = found.interrupted.facts.run_id if found.interrupted else ""
    for run in store.tagged(dict(identity.tags) | ({PARENT_TAG: identity.parent} if identity.parent else {})):
        if run.info.status == "FINISHED" and run.data.tags.get(PARENT_TAG, "") == identity.parent:
            found.finished = Finished(run.info.run_id, dict(run.data.metrics), dict(run.data.tags))
        elif identity.parent and run.info.run_id not in (going_on, *found.superseded):
            found.superseded.append(run.info.run_id)
    if found.finished:
        found.close()
    return found


def open_when_dead(folder: Path) -> Journal | None:
    """Opens a journal, after a process that is still at its run; None where it is gone by then."""
    journal = Journal.open(folder)
    if journal is None and folder.exists():
        say("another process is still at this run; waiting for it")
        journal = Journal.open(folder, wait=True)
    return journal


def deliver(folder: Path, store_of: Callable[[], TrackingStore | None]) -> Facts | None:
    """Brings the journal of a run that is over to a store; the run of a process that died is KILLED.

    Args:
        folder: the journal.
        store_of: returns the store, asked only where there is something to bring; None leaves it in the journal.

    Returns:
        What became of the run; None where a process is still at it.

    Raises:
        Exception: what the store raises. Nothing is lost by it, and the same again brings the rest.
    """
    journal = Journal.open(folder)
    if journal is None:
        return None
    try:
        if journal.facts.status == "RUNNING":
            journal.end("KILLED", "the process died")
        if not journal.facts.delivered and (store := store_of()):
            store.deliver(journal)
        return journal.facts
    finally:
        journal.close()
