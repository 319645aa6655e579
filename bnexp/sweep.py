"""A sweep's parent run: its jobs hang below it, and at the end it holds what puts them side by side."""

import os
import socket
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from bnexp.errors import UserError, exit_with, say
from bnexp.folders import RUNS, sqlite_file
from bnexp.launchers import share_cores, start_cluster, stop_cluster, tell_jobs

if TYPE_CHECKING:
    from bnexp.compare.store import Store, StoredRun
    from bnexp.track import Tracker

# how a job, wherever its launcher runs it, learns whose child it is
PARENT_VARIABLE = "BNEXP_PARENT_RUN_ID"

# what a sweep's jobs are compared by, and what a search over them maximises
HEADLINE = "test/accuracy"

# where Optuna's sweeper has other defaults than suit that: it minimises, and stops at the first failure
SEARCH = {"direction": "maximize", "max_failure_rate": 1.0}

# what Optuna's sweeper ends with where the last trial of a grid fails; by then all of them have been run
GRID_IS_DONE = "`Study.stop` is supposed to be invoked inside an objective function"

# the sweep that this process leads; a callback is the only place where Hydra tells that one starts
_leading: list["Sweep"] = []


class JobFailed(CompactHydraException):
    """A job of a sweep failed, and has said why; Hydra raises it where the sweep is led, after the last job."""


class Sweep:
    """The parent run of a sweep, going on until `finish`.

    Args:
        tracker: of the parent run, which has started.
        uri: of the tracking store.
        experiment: by name.
        outlived: whether its jobs may go on where this process ends too early, as a cluster's do.
    """

    def __init__(self, tracker: "Tracker", *, uri: str, experiment: str, outlived: bool = False) -> None:
        self._tracker, self._uri, self._experiment, self._outlived = tracker, uri, experiment, outlived
        self.run_id = tracker.run_id

    @classmethod
    def start(cls, config: DictConfig) -> Self:
        """Starts a sweep's parent run, or with `resume=true` continues that of an earlier start of the same sweep.

        Args:
            config: the sweep's config, composed without the values that it sweeps over.

        Raises:
            UserError: the tracking store does not answer.
        """
        # here, so that --help and single runs do not wait for MLflow
        from bnexp.track import Tracker

        # neither where it is tracked, for a store's URI may hold a password, nor that it is resumed
        overrides = [o for o in config.hydra.overrides.task if not o.lstrip("+").startswith(("tracking.", "resume="))]
        text = " ".join(overrides)
        uri, experiment = config.tracking.uri, config.tracking.experiment
        outlived = "submitit" in config.hydra.launcher._target_
        tracker = Tracker(uri=uri, experiment=experiment, runs=RUNS)
        identity = {"bnexp.sweep.key": sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:32]}
        earlier = tracker.newest(identity) if config.resume else ""
        if earlier:
            tracker.reopen(earlier)
        else:
            tags = {"bnexp.sweep": text or "(defaults)", "bnexp.sweep.dir": str(config.hydra.sweep.dir)}
            tracker.start(f"sweep {text}", params={"overrides": text}, tags=tags | identity)
        if tracker.store is None:
            raise UserError("the sweep was not started: its jobs would not find their parent run.")
        return cls(tracker, uri=uri, experiment=experiment, outlived=outlived)

    @classmethod
    def reopen(cls, run_id: str, *, uri: str, experiment: str, status: str) -> Self:
        """Takes a sweep's parent run that has ended, to `finish` it once more.

        Raises:
            UserError: the tracking store does not answer.
        """
        from bnexp.track import Tracker

        tracker = Tracker(uri=uri, experiment=experiment, runs=RUNS)
        tracker.reopen(run_id, status=status)
        return cls(tracker, uri=uri, experiment=experiment)

    def finish(self, error: BaseException | None = None) -> list[str]:
        """Puts the jobs side by side on the parent run and ends it: FINISHED only if every job did.

        Where the store does not answer, `python -m bnexp.sync` does that later.

        Args:
            error: what ended the sweep before its last job, if anything did.

        Returns:
            The names of the jobs that did not finish.
        """
        early = error is not None and not isinstance(error, JobFailed)
        if early:
            stop_cluster()
        here = [] if early and self._outlived else self._tracker.end_children()
        store, jobs = self._read_jobs()
        if jobs is None:
            lost = [facts.name for facts in here if facts.status != "FINISHED"]
        elif jobs or error is None:
            lost = [job.name for job in jobs if job.status != "FINISHED"]
        else:
            # nothing started: there is nothing to hang below a parent, and the error is told on the command line
            self._tracker.discard()
            return []
        reason = error
        if lost and not early:
            reason = UserError(f"{len(lost)} of {len(jobs or here)} jobs did not finish: {', '.join(lost)}")
        # what went wrong is written on the parent run; the caller knows it already
        with suppress(*([type(reason)] if reason else [])), self._tracker:
            if jobs is not None and store is not None:
                counts = {"sweep/finished": len(jobs) - len(lost), "sweep/unfinished": len(lost)}
                self._tracker.log(counts, step=self._tracker.resumed)
                if len(lost) < len(jobs):
                    self._put_side_by_side(store, jobs)
                    self._tell_best(jobs)
            if reason is not None:
                raise reason
        return lost

    def _read_jobs(self) -> "tuple[Store, list[StoredRun]] | tuple[None, None]":
        from bnexp.compare.store import Store

        if self._tracker.store is not None:
            with suppress(Exception):  # each store has errors of its own; the tracker meets and tells the next
                store = Store(self._uri, self._experiment)
                return store, store.children(self.run_id)
        return None, None

    def _put_side_by_side(self, store: "Store", jobs: "list[StoredRun]") -> None:
        """Stores the table, then the report and the plots; what cannot be drawn is told, and costs nothing else."""
        from bnexp.compare.report import write_csv, write_pictures
        from bnexp.compare.table import compare
        from bnexp.tracking_store import UNDRAWN_TAG

        comparison = compare(jobs)
        self._tracker.table(comparison.table, "comparison.json")
        with TemporaryDirectory(prefix="bnexp-") as folder:
            write_csv(comparison, Path(folder, "comparison.csv"))
            self._tracker.artifacts(Path(folder))
        with TemporaryDirectory(prefix="bnexp-") as folder:
            problems = write_pictures(store, comparison, Path(folder))
            self._tracker.artifacts(Path(folder))
        if problems:
            self._tracker.tag({UNDRAWN_TAG: " ".join(problems)})
            print(f"bnexp: the sweep's table is stored, but {' '.join(problems)}", file=sys.stderr)

    def _tell_best(self, jobs: "list[StoredRun]") -> None:
        """Names the job that a search, such as Optuna's, would choose: the first of the highest headline accuracy."""
        measured = [job for job in jobs if job.status == "FINISHED" and HEADLINE in job.metrics]
        if measured:
            best = max(measured, key=lambda job: job.metrics[HEADLINE])
            self._tracker.log({"sweep/best_accuracy": best.metrics[HEADLINE]}, step=self._tracker.resumed)
            self._tracker.tag({"bnexp.sweep.best": best.name, "bnexp.sweep.best_run": best.run_id})


class LeadSweep(Callback):
    """Starts the parent run when Hydra starts a sweep, and tells every job of it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Starts the parent run."""
        try:
            sweep = Sweep.start(config)
        except UserError as error:
            # Hydra makes a warning of any Exception in a callback, and goes on
            exit_with(error)
        _leading.append(sweep)
        start_cluster(config.hydra.launcher)
        tell_jobs(config, PARENT_VARIABLE, sweep.run_id)
        share_cores(config)
        given = [override.lstrip("+").partition("=")[0] for override in config.hydra.overrides.hydra]
        for key, value in SEARCH.items():
            if key in config.hydra.sweeper and f"hydra.sweeper.{key}" not in given:
                with read_write(config.hydra.sweeper):
                    config.hydra.sweeper[key] = value


def leads_sweep() -> bool:
    """Tells whether this process leads a sweep, and does not only run jobs of one."""
    return bool(_leading)


def finish_sweep(error: BaseException | None = None) -> list[str]:
    """Ends the parent run of the sweep that this process leads, if it leads one.

    Args:
        error: what ended the sweep before its last job, if anything did.

    Returns:
        The names of the jobs that did not finish.
    """
    if not _leading:
        return []
    if isinstance(error, RuntimeError) and GRID_IS_DONE in str(error):
        error = JobFailed("the grid's last trial failed")
        say(
            "the grid's last trial failed, and so Optuna's sweeper wrote no optimization_results.yaml; "
            "the sweep's run has the table, and names the best job in its tag bnexp.sweep.best."
        )
    return _leading.pop().finish(error)


def join_sweep(folder: str, uri: str) -> None:
    """Has a job work in the sweep's folder, wherever its launcher runs it, if that machine has the folder.

    Args:
        folder: where the sweep was started.
        uri: of the sweep's tracking store.

    Raises:
        UserError: the store is a file that the job's machine does not have.
    """
    with suppress(OSError):
        os.chdir(folder)
    database = sqlite_file(uri)
    if os.environ.get(PARENT_VARIABLE) and database is not None and not os.path.exists(database):
        # MLflow would make an empty one, and the run would be lost there
        raise UserError(
            f"tracking.uri={uri}: must be a store that every machine of the sweep reaches, and {socket.gethostname()} "
            "has no such file. Start mlflow server, and give tracking.uri=http://HOST:5000."
        )
