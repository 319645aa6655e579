"""Tracked runs: what a run tells goes to its journal on the local disk, and from there to its tracking store."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import pandas as pd

from bnexp.attempts import Attempts, Finished, Identity, deliver, find_attempts, open_when_dead
from bnexp.errors import UserError, first_line, say
from bnexp.folders import require_writable
from bnexp.interrupt import uninterrupted
from bnexp.journal import Facts, Journal, Point, journals, read_facts
from bnexp.tracking_store import (
    ERROR_TAG,
    FIRST_PATIENCE,
    KEY_TAG,
    OF_THE_END,
    PARENT_TAG,
    RESUMED_TAG,
    StoreError,
    TrackingStore,
    settings,
    without_password,
)

# metrics that come sooner after the last request wait for the next, so that the UI shows a run that is going on
SECONDS_BETWEEN_FLUSHES = 2.0

# under `runs`: the journals
LOCAL = "local"


class Tracker:
    """At most one run, as a context: FINISHED, FAILED or KILLED at its end, never RUNNING.

    A store that goes away while the run lives does not end it: the run goes on, complete in its journal, and is brought
    to the store when it ends, or by `python -m bnexp.sync`.

    Args:
        uri: any MLflow tracking URI; the folder of an SQLite file is made where it is missing.
        experiment: made where it does not exist.
        runs: the folder under which an SQLite store keeps its artifacts and every run its journal.
        parent: the run id of the sweep that the run belongs to; such a run starts also where no store answers.
        failed_start: name and params of the run that stands for a failure before `start`; without, there is none.

    Raises:
        UserError: the URI leads nowhere.
    """

    def __init__(
        self,
        *,
        uri: str,
        experiment: str,
        runs: Path,
        parent: str = "",
        failed_start: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.parent, self.experiment, self._failed_start = parent, experiment, failed_start
        self.shown_uri = without_password(uri)
        self._place = (uri, experiment, runs)
        self._local = runs / LOCAL
        require_writable(self._local, "runs")
        self._identity, self._attempts = self._who({}), Attempts()
        self._journal: Journal | None = None
        self._waiting: list[Point] = []
        self._flushed = time.monotonic()
        self.store: TrackingStore | None = None
        try:
            self.store = TrackingStore(*self._place)
        except StoreError as error:
            if not parent:
                raise
            self._lose(error)

    @property
    def run_id(self) -> str:
        """Returns the run's id in MLflow, before the store has it its journal's key, and without a run nothing."""
        return (self._journal.facts.run_id or self._journal.facts.key) if self._journal else ""

    @property
    def resumed(self) -> int:
        """Returns how often the run was continued."""
        return self._started.facts.resumed

    @property
    def savepoint(self) -> Path:
        """Returns the folder for where the run's training stands."""
        return self._started.savepoint

    @property
    def _started(self) -> Journal:
        assert self._journal is not None, "start comes first"
        return self._journal

    def _who(self, tags: Mapping[str, str]) -> Identity:
        return Identity(tags, self.parent, self.shown_uri, self.experiment)

    def identify(self, tags: Mapping[str, str], *, resume: bool) -> Finished | None:
        """Says which run this is; to be called before `start`.

        Args:
            tags: those that all attempts at this run, and no other runs, have.
            resume: whether `start` is to continue an attempt that was interrupted. Attempts of a sweep's job that were
                made elsewhere, without a journal here, are replaced.

        Returns:
            The attempt that finished, if one did; there is nothing to start then.

        Raises:
            UserError: no store answers that could tell.
        """
        self._identity = self._who(tags)
        if not resume:
            return None
        if self.store is None:
            raise UserError(
                f"resume=true: tracking.uri={self.shown_uri} does not answer, and may have the run already. "
                "Start the store, then resume."
            )
        self._attempts = find_attempts(self._identity, self._local, self.store)
        return self._attempts.finished

    def start(self, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Starts the run, or continues the one that `identify` found; inside the tracker's `with` block, which ends it.

        A run that is continued keeps its name, params and start.
        """
        tags = dict(self._identity.tags) | dict(tags)
        with uninterrupted():  # between the run and its id there is no run that could be ended
            self._send(lambda store: store.discard(self._attempts.superseded))
            if self._attempts.interrupted:
                self._continue(self._attempts.interrupted, tags)
                return
            text = {key: str(value) for key, value in params.items()}
            now = int(time.time() * 1000)
            self._journal = journal = Journal.start(
                self._local, Facts(name, self.shown_uri, self.experiment, self.parent, text, tags, now)
            )
            self._send(lambda store: journal.update(run_id=store.create(journal.facts)))

    def newest(self, tags: Mapping[str, str]) -> str:
        """Returns the id of the newest run with these tags; empty where there is none.

        One that was killed before the store had it is brought there.
        """
        self._identity = self._who(tags)
        found: list[Any] = []

        def find(store: TrackingStore) -> None:
            for folder in self._identity.journals(self._local):
                deliver(folder, lambda: store)
            found.extend(store.tagged(tags))

        self._send(find)
        return str(found[0].info.run_id) if found else ""

    def reopen(self, run_id: str, *, status: str = "RUNNING") -> None:
        """Continues a run that the store has, whether its journal is here or not; instead of `start`.

        Args:
            run_id: in MLflow.
            status: what it is meanwhile.
        """
        assert self.store is not None
        here = [folder for folder, facts in journals(self._local).items() if facts.run_id == run_id]
        journal = open_when_dead(here[0]) if here else None
        if journal is None:
            run = self.store.client.get_run(run_id)
            tags = dict(run.data.tags)
            facts = Facts(
                run.info.run_name, self.shown_uri, self.experiment, tags.get(PARENT_TAG, ""), {}, tags,
                run.info.start_time, tags[KEY_TAG], run_id, resumed=int(tags.get(RESUMED_TAG, 0)),
            )  # fmt: skip
            journal = Journal.start(self._local, facts)
        with uninterrupted():
            self._continue(journal, {}, status)

    def _continue(self, journal: Journal, tags: Mapping[str, str], status: str = "RUNNING") -> None:
        resumed = journal.facts.resumed + 1
        kept = {key: value for key, value in journal.facts.tags.items() if key not in OF_THE_END}
        journal.update(
            status=status,
            delivered=False,
            resumed=resumed,
            tags=kept | dict(tags) | {RESUMED_TAG: str(resumed)},
        )
        self._journal, self._attempts = journal, Attempts()

        def resume(store: TrackingStore) -> None:
            journal.update(run_id=store.run_of(journal.facts))
            store.resume(journal)

        self._send(resume)

    def log(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Logs metrics of one step; sent in batches."""
        self._waiting += self._started.log(metrics, step=step)
        if time.monotonic() - self._flushed > SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        """Sends the metrics that wait."""
        self._send(lambda store: store.send(self.run_id, self._waiting))
        self._waiting = []
        self._flushed = time.monotonic()

    def tag(self, tags: Mapping[str, str]) -> None:
        """Sets tags of the run."""
        self._started.update(tags=dict(self._started.facts.tags) | dict(tags))
        self._send(lambda store: store.tag(self.run_id, tags))

    def table(self, frame: pd.DataFrame, name: str) -> None:
        """Stores a table that MLflow's UI shows, as the artifact `name` (.json), in the place of one there."""
        # as MLflow's own log_table has it, which would add the rows to those of a table that is there already
        with TemporaryDirectory(prefix="bnexp-") as folder:
            Path(folder, name).write_text(frame.to_json(orient="split", index=False, date_format="iso"))
            self.artifacts(Path(folder))
        self.tag({"mlflow.loggedArtifacts": json.dumps([{"path": name, "type": "table"}])})

    def artifacts(self, folder: Path) -> None:
        """Stores everything in `folder` as the run's artifacts, under the same names."""
        self._started.keep(folder)
        self._send(lambda store: store.client.log_artifacts(self.run_id, str(folder)))

    def discard(self) -> None:
        """Deletes the run, which MLflow keeps among its deleted ones, and forgets it."""
        self._send(lambda store: store.discard([self.run_id]))
        self._started.remove()
        self._started.close()
        self._journal = None

    def end_children(self) -> list[Facts]:
        """Brings the jobs of this run, a sweep's, to the store, as far as they are here; those that died are KILLED.

        To be called when no job can be alive any more.

        Returns:
            Those that are here, as they ended.
        """
        here = [folder for folder, facts in journals(self._local).items() if facts.parent == self.run_id]
        ended = []
        for folder in here:
            try:
                facts = deliver(folder, lambda: self.store)
            except Exception as error:  # each store has errors of its own
                self._lose(error)
                facts = read_facts(folder)
            ended += [facts] if facts else []
        self._send(lambda store: store.end_children(self.run_id))
        return ended

    def where(self, run_id: str = "") -> str:
        """Returns what shows a run, this one or another of the experiment, in a browser.

        Of a run that the store does not have it returns what brings it there.
        """
        run_id = run_id or self.run_id
        if self.store is not None and not (self._local / run_id).is_dir():
            return self.store.page(run_id)
        return f"not yet, it is whole in {self._local}; this brings it to {self.shown_uri}:\npython -m bnexp.sync"

    def fetch(self, run_id: str, folder: Path) -> dict[str, str]:
        """Fetches a finished run's `config.yaml` and `checkpoint/` into `folder`, and returns its params.

        Raises:
            UserError: there is no such run, it has not finished, the files are gone, or no store answers.
        """
        if self.store is None:
            raise UserError(f"restore={run_id}: tracking.uri={self.shown_uri} does not answer. Start the store.")
        return self.store.fetch(run_id, folder)

    def __enter__(self) -> Self:
        """Enters the block in which a run may start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the run with what it measured so far."""
        failed = isinstance(error, Exception)
        if failed and not self._journal and self._failed_start:
            name, params = self._failed_start
            self.start(name, params=params, tags={})
        self._attempts.close()
        if not self._journal:
            return
        status = "FINISHED" if error is None else "FAILED" if failed else "KILLED"
        with uninterrupted():
            try:
                self._journal.end(status, first_line(error) if error is not None else "")
            finally:
                # also where the disk is full: the store need not be
                self._end(self._journal, status)

    def _end(self, journal: Journal, status: str) -> None:
        def end(store: TrackingStore) -> None:
            store.send(self.run_id, self._waiting)
            if ERROR_TAG in journal.facts.tags:
                store.tag(self.run_id, {ERROR_TAG: journal.facts.tags[ERROR_TAG]})
            store.client.set_terminated(self.run_id, status=status)

        self._send(end)
        if self.store is None:
            # it may have been away for a moment only, as a database that others kept locked
            with suppress(Exception), settings(FIRST_PATIENCE):
                store = TrackingStore(*self._place)
                store.deliver(journal)
                self.store = store
        try:
            if self.store is not None:
                journal.update(delivered=True)
        finally:
            journal.close()

    def _send(self, send: Callable[[TrackingStore], None]) -> None:
        """Tells the store something; where it fails, the run goes on without it."""
        if self.store is not None:
            try:
                send(self.store)
            except Exception as error:  # each store has errors of its own
                self._lose(error)

    def _lose(self, error: Exception) -> None:
        self.store = None
        reason = first_line(error.__cause__ or error) if isinstance(error, StoreError) else first_line(error)
        say(
            f"tracking.uri={self.shown_uri}: the store went away ({reason}). The run goes on, and is kept "
            f"whole in {self._local}; python -m bnexp.sync brings it to the store."
        )
