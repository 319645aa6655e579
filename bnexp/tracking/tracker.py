"""Tracked runs: everything is written to a journal on the local disk first, and then sent to the tracking store."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlparse
from urllib.request import url2pathname

import pandas as pd

from bnexp.errors import UserError, first_line, say
from bnexp.names import ERROR_TAG, KEY_TAG, OUTCOME_TAGS, PARENT_TAG, RESUMED_TAG
from bnexp.runtime.signals import uninterrupted
from bnexp.storage.folders import require_writable
from bnexp.tracking.attempts import AttemptKey, Attempts, Finished, deliver, find_attempts, open_when_dead
from bnexp.tracking.journal import Journal, Point, RunRecord, journals, read_record
from bnexp.tracking.mlflow_client import CONNECT_TIMEOUT, mlflow_settings
from bnexp.tracking.store import StoreError, TrackingStore
from bnexp.tracking.uri import without_password

# metrics are sent at most this often, so that the UI shows the progress of a run without a request for each step
SECONDS_BETWEEN_FLUSHES = 2.0

# the folder of the journals, under `runs`
LOCAL = "local"


class Tracker:
    """A context in which at most one run is tracked; after the block the run is FINISHED, FAILED or KILLED.

    If the store stops answering, the run goes on. All of it is in its journal, which is sent to the store when the run
    ends, or later by `python -m bnexp.sync`.

    Args:
        uri: any MLflow tracking URI; the folder of an SQLite file is created if it is missing.
        experiment: the name of the experiment; it is created if it does not exist.
        runs: the folder under which an SQLite store keeps its artifacts, and every run its journal.
        parent: the run id of the sweep that the run belongs to, empty if none; such a run starts even if no store
            answers.
        failed_start: the name and the params of a FAILED run that is made if the block fails before `start`; None makes
            none.

    Attributes:
        parent: the run id of the sweep that the run belongs to; empty if none.
        experiment: the name of the experiment.
        shown_uri: the tracking URI without its password.
        store: the tracking store; None while it does not answer.

    Raises:
        UserError: the folder of the journals or of an SQLite file cannot be written, the experiment is deleted, or no
            store answers and there is no `parent`.

    Example:
        >>> with Tracker(uri="sqlite:///runs/mlflow.db", experiment="bnexp", runs=Path("runs")) as tracker:
        ...     tracker.start("variant=ema", params={"variant": "ema"}, tags={})
        ...     tracker.log({"train/loss": 2.3}, step=1)
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
        """Returns the run's id in MLflow; its journal's key if the store does not have it yet; empty before `start`."""
        return (self._journal.record.run_id or self._journal.record.key) if self._journal else ""

    @property
    def resumed(self) -> int:
        """Returns how many times the run was continued."""
        return self._started.record.resumed

    @property
    def savepoint(self) -> Path:
        """Returns the folder in the run's journal for the savepoint of its training."""
        return self._started.savepoint

    @property
    def _started(self) -> Journal:
        assert self._journal is not None, "start comes first"
        return self._journal

    def _who(self, tags: Mapping[str, str]) -> AttemptKey:
        return AttemptKey(tags, self.parent, self.shown_uri, self.experiment)

    def identify(self, tags: Mapping[str, str], *, resume: bool) -> Finished | None:
        """Says which run this is, and looks for earlier attempts at it; to be called before `start`.

        Args:
            tags: the tags that all attempts at this run have, and no other runs.
            resume: whether `start` shall continue an interrupted attempt. Attempts of a sweep's job without a journal
                on this machine are replaced.

        Returns:
            The attempt that finished, if there is one and `resume` is set; the run must not be started then.

        Raises:
            UserError: `resume` is set, and the store does not answer, which may have the run already.
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
        """Starts the run, or continues the one that `identify` found; to be called inside the tracker's `with` block.

        Args:
            name: the run's name in MLflow; a run that is continued keeps its own.
            params: the run's params by name; a run that is continued keeps its own.
            tags: the run's tags by name, besides those of `identify`.
        """
        tags = dict(self._identity.tags) | dict(tags)
        with uninterrupted():  # a run whose id has not arrived could not be ended
            self._send(lambda store: store.discard(self._attempts.superseded))
            if self._attempts.interrupted:
                self._continue(self._attempts.interrupted, tags)
                return
            text = {key: str(value) for key, value in params.items()}
            now = int(time.time() * 1000)
            self._journal = journal = Journal.start(
                self._local, RunRecord(name, self.shown_uri, self.experiment, self.parent, text, tags, now)
            )
            self._send(lambda store: journal.update(run_id=store.create(journal.record)))

    def newest(self, tags: Mapping[str, str]) -> str:
        """Returns the id in MLflow of the newest run with these tags; empty if there is none.

        Runs with these tags that the store does not have yet are first sent to it.

        Args:
            tags: the tags that the run must have.
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
        """Continues a run that the store has, whether its journal is on this machine or not; called instead of `start`.

        Args:
            run_id: the run's id in MLflow.
            status: the run's status until the block ends.
        """
        assert self.store is not None
        here = [folder for folder, record in journals(self._local).items() if record.run_id == run_id]
        journal = open_when_dead(here[0]) if here else None
        if journal is None:
            run = self.store.client.get_run(run_id)
            tags = dict(run.data.tags)
            record = RunRecord(
                run.info.run_name, self.shown_uri, self.experiment, tags.get(PARENT_TAG, ""), {}, tags,
                run.info.start_time, tags[KEY_TAG], run_id, resumed=int(tags.get(RESUMED_TAG, 0)),
            )  # fmt: skip
            journal = Journal.start(self._local, record)
        with uninterrupted():
            self._continue(journal, {}, status)

    def _continue(self, journal: Journal, tags: Mapping[str, str], status: str = "RUNNING") -> None:
        resumed = journal.record.resumed + 1
        kept = {key: value for key, value in journal.record.tags.items() if key not in OUTCOME_TAGS}
        journal.update(
            status=status,
            delivered=False,
            resumed=resumed,
            tags=kept | dict(tags) | {RESUMED_TAG: str(resumed)},
        )
        self._journal, self._attempts = journal, Attempts()

        def resume(store: TrackingStore) -> None:
            journal.update(run_id=store.run_of(journal.record))
            store.resume(journal)

        self._send(resume)

    def log(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Logs the metrics of one step; they are sent in batches.

        Args:
            metrics: the values by name. Infinite values and NaN are left out, since not every store can hold them.
            step: the number of training steps done.
        """
        finite = {key: float(value) for key, value in metrics.items() if isfinite(value)}
        self._waiting += self._started.log(finite, step=step)
        if time.monotonic() - self._flushed > SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        """Sends the metrics that have not been sent yet."""
        self._send(lambda store: store.send(self.run_id, self._waiting))
        self._waiting = []
        self._flushed = time.monotonic()

    def tag(self, tags: Mapping[str, str]) -> None:
        """Sets tags of the run."""
        self._started.update(tags=dict(self._started.record.tags) | dict(tags))
        self._send(lambda store: store.tag(self.run_id, tags))

    def table(self, frame: pd.DataFrame, name: str) -> None:
        """Stores a table that MLflow's UI shows, replacing an earlier one.

        Args:
            frame: the rows and columns.
            name: the name of the artifact, which ends in `.json`.
        """
        # the format of MLflow's log_table, which itself would append the rows to those of an earlier table
        with TemporaryDirectory(prefix="bnexp-") as folder:
            Path(folder, name).write_text(frame.to_json(orient="split", index=False, date_format="iso"))
            self.artifacts(Path(folder))
        self.tag({"mlflow.loggedArtifacts": json.dumps([{"path": name, "type": "table"}])})

    def artifacts(self, folder: Path) -> None:
        """Stores all files in `folder` as artifacts of the run, under the same names."""
        self._started.keep(folder)
        self._send(lambda store: store.client.log_artifacts(self.run_id, str(folder)))

    def discard(self) -> None:
        """Deletes the run and its journal; MLflow keeps it among the deleted runs."""
        self._send(lambda store: store.discard([self.run_id]))
        self._started.remove()
        self._started.close()
        self._journal = None

    def end_children(self) -> list[RunRecord]:
        """Sends the jobs of this run, the parent of a sweep, to the store; jobs whose process died end as KILLED.

        To be called when no job can be alive any more.

        Returns:
            The records of the jobs whose journals are on this machine.
        """
        here = [folder for folder, record in journals(self._local).items() if record.parent == self.run_id]
        ended = []
        for folder in here:
            try:
                record = deliver(folder, lambda: self.store)
            except Exception as error:  # stores raise errors of many types
                self._lose(error)
                record = read_record(folder)
            ended += [record] if record else []
        self._send(lambda store: store.end_children(self.run_id))
        return ended

    def where(self, run_id: str = "") -> str:
        """Returns how to see a run in a browser, or how to send it to the store if it is not there yet.

        Args:
            run_id: the id of a run of the experiment; empty means this run.
        """
        run_id = run_id or self.run_id
        if self.store is not None and not (self._local / run_id).is_dir():
            return self.store.page(run_id)
        return f"not yet: the run is whole in {self._local}. This sends it to {self.shown_uri}:\npython -m bnexp.sync"

    def artifact(self, name: str, run_id: str) -> str:
        """Returns the path of a run's artifact if it is on this machine, and MLflow's address of it otherwise.

        Args:
            name: the name of the artifact, `"comparison.html"`.
            run_id: the run's id in MLflow, or its journal's key.
        """
        uri = self.store.client.get_run(run_id).info.artifact_uri if self.store is not None else ""
        parsed = urlparse(f"{uri}/{name}")
        if parsed.scheme not in ("", "file"):
            return f"{uri}/{name}"
        path = Path(url2pathname(parsed.path)) if uri else self._local / run_id / "artifacts" / name
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    def fetch(self, run_id: str, folder: Path) -> dict[str, str]:
        """Fetches a finished run's `config.yaml` and `checkpoint/` into `folder`, and returns its params.

        Args:
            run_id: the run's id in MLflow.
            folder: the folder to copy the files to; it is created if it is missing.

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
        """Ends the run: FINISHED, FAILED after an Exception in the block, KILLED after any other BaseException."""
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
                # also if the disk is full, since the store may not be
                self._end(self._journal, status)

    def _end(self, journal: Journal, status: str) -> None:
        def end(store: TrackingStore) -> None:
            store.send(self.run_id, self._waiting)
            if ERROR_TAG in journal.record.tags:
                store.tag(self.run_id, {ERROR_TAG: journal.record.tags[ERROR_TAG]})
            store.client.set_terminated(self.run_id, status=status)

        self._send(end)
        if self.store is None:
            # the store may have been unreachable only for a moment, such as a locked database
            with suppress(Exception), mlflow_settings(CONNECT_TIMEOUT):
                store = TrackingStore(*self._place)
                store.deliver(journal)
                self.store = store
        try:
            if self.store is not None:
                journal.update(delivered=True)
        finally:
            journal.close()

    def _send(self, send: Callable[[TrackingStore], None]) -> None:
        """Calls `send` with the store; if that fails, the run goes on without the store."""
        if self.store is not None:
            try:
                send(self.store)
            except Exception as error:  # stores raise errors of many types
                self._lose(error)

    def _lose(self, error: Exception) -> None:
        self.store = None
        reason = first_line(error.__cause__ or error) if isinstance(error, StoreError) else first_line(error)
        say(
            f"tracking.uri={self.shown_uri}: the store went away ({reason}). The run goes on, and is kept "
            f"whole in {self._local}; python -m bnexp.sync brings it to the store."
        )
