"""The parent run of a sweep: the jobs are tracked below it, and it gets the table and the plots that compare them."""

import os
import socket
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from hydra.errors import CompactHydraException
from omegaconf import DictConfig, read_write

from bnexp.errors import UserError, say
from bnexp.names import (
    BEST_RUN_TAG,
    BEST_TAG,
    HEADLINE,
    JOBS_VARIABLE,
    PARENT_VARIABLE,
    SWEEP_BEST,
    SWEEP_FINISHED,
    SWEEP_FOLDER_TAG,
    SWEEP_KEY_TAG,
    SWEEP_TAG,
    SWEEP_UNFINISHED,
    UNDRAWN_TAG,
    telling_overrides,
)
from bnexp.storage.folders import RUNS
from bnexp.sweep.launchers import runs_jobs_here, share_cores, start_cluster, stop_cluster, tell_jobs
from bnexp.sweep.progress import JobsBar, count_jobs
from bnexp.tracking.uri import sqlite_file

if TYPE_CHECKING:
    from bnexp.compare.table import Comparison
    from bnexp.tracking.reader import Store, StoredRun
    from bnexp.tracking.tracker import Tracker

# settings of Optuna's sweeper whose defaults do not suit: it would minimise, and stop at the first failure
SEARCH = {"direction": "maximize", "max_failure_rate": 1.0}

# the error of Optuna's sweeper if the last trial of a grid fails; all trials have been run by then
GRID_IS_DONE = "`Study.stop` is supposed to be invoked inside an objective function"

# the sweep that this process leads, if any; it is set by a callback, the only place where Hydra says that one starts
_leading: list["Sweep"] = []


class JobFailed(CompactHydraException):
    """A job of a sweep has failed and printed why; Hydra raises it after the last job in the sweep's process."""


class Sweep:
    """The parent run of a sweep, which runs until `finish`.

    Args:
        tracker: tracks the parent run, which has started.
        uri: the tracking URI, with its password.
        experiment: the name of the experiment.
        outlived: whether jobs may still be running when this process is interrupted, as those on a cluster.

    Attributes:
        run_id: the parent run's id in MLflow.
        bar: the progress bar, if the jobs run in this process; otherwise None.

    Example:
        >>> sweep = Sweep.start(config)
        >>> lost = sweep.finish()
    """

    def __init__(self, tracker: "Tracker", *, uri: str, experiment: str, outlived: bool = False) -> None:
        self._tracker, self._uri, self._experiment, self._outlived = tracker, uri, experiment, outlived
        self.run_id = tracker.run_id
        self.bar: JobsBar | None = None
        self._shown: Comparison | None = None

    @classmethod
    def start(cls, config: DictConfig) -> Self:
        """Starts a sweep's parent run, or with `resume=true` continues that of an earlier start of the same sweep.

        Args:
            config: the sweep's config, composed without the values that it sweeps over.

        Raises:
            UserError: the tracking store does not answer.
        """
        # imported here, so that --help and single runs do not wait for MLflow
        from bnexp.tracking.tracker import Tracker

        # without the tracking settings, since a URI may hold a password, and without resume
        overrides = telling_overrides(config.hydra.overrides.task)
        text = " ".join(overrides)
        uri, experiment = config.tracking.uri, config.tracking.experiment
        outlived = "submitit" in config.hydra.launcher._target_
        tracker = Tracker(uri=uri, experiment=experiment, runs=RUNS)
        identity = {SWEEP_KEY_TAG: sha256("\n".join(sorted(overrides)).encode()).hexdigest()[:32]}
        earlier = tracker.newest(identity) if config.resume else ""
        if earlier:
            tracker.reopen(earlier)
        else:
            tags = {SWEEP_TAG: text or "(defaults)", SWEEP_FOLDER_TAG: str(config.hydra.sweep.dir)}
            tracker.start(f"sweep {text}", params={"overrides": text}, tags=tags | identity)
        if tracker.store is None:
            raise UserError("the sweep was not started: its jobs would not find their parent run.")
        return cls(tracker, uri=uri, experiment=experiment, outlived=outlived)

    @classmethod
    def reopen(cls, run_id: str, *, uri: str, experiment: str, status: str) -> Self:
        """Reopens the parent run of a sweep that has ended, to `finish` it again.

        Args:
            run_id: the parent run's id in MLflow.
            uri: the tracking URI, with its password.
            experiment: the name of the experiment.
            status: the status that the run keeps until `finish`.

        Raises:
            UserError: the tracking store does not answer.
        """
        from bnexp.tracking.tracker import Tracker

        tracker = Tracker(uri=uri, experiment=experiment, runs=RUNS)
        tracker.reopen(run_id, status=status)
        return cls(tracker, uri=uri, experiment=experiment)

    def finish(self, error: BaseException | None = None) -> list[str]:
        """Stores the table and the plots of all jobs on the parent run, and ends it: FINISHED only if every job is.

        If the store does not answer, `python -m bnexp.sync` does this later.

        Args:
            error: the exception that ended the sweep; None if there was none.

        Returns:
            The names of the jobs that did not finish.
        """
        early = error is not None and not isinstance(error, JobFailed)
        if early:
            stop_cluster()
        here = [] if early and self._outlived else self._tracker.end_children()
        store, jobs = self._read_jobs()
        if jobs is None:
            lost = [record.name for record in here if record.status != "FINISHED"]
        elif jobs or error is None:
            lost = [job.name for job in jobs if job.status != "FINISHED"]
        else:
            # no job has started: a parent run would be empty, and the error is printed on the command line
            self._tracker.discard()
            return []
        reason = error
        if lost and not early:
            reason = UserError(f"{len(lost)} of {len(jobs or here)} jobs did not finish: {', '.join(lost)}")
        # the tracker records the reason on the parent run; the caller already knows it
        with suppress(*([type(reason)] if reason else [])), self._tracker:
            if jobs is not None and store is not None:
                counts = {SWEEP_FINISHED: len(jobs) - len(lost), SWEEP_UNFINISHED: len(lost)}
                self._tracker.log(counts, step=self._tracker.resumed)
                if len(lost) < len(jobs):
                    self._put_side_by_side(store, jobs)
                    self._tell_best(jobs)
            if reason is not None:
                raise reason
        return lost

    def show(self) -> None:
        """Prints the table that `finish` made, if any, and where the report is."""
        from rich import get_console

        from bnexp.compare.show import print_comparison

        if self._shown is not None:
            console = get_console()
            print_comparison(console, self._shown)
            # not wrapped, so that a path can be copied
            where = self._tracker.artifact("comparison.html", self.run_id)
            console.print(f"report: {where}", highlight=False, soft_wrap=True, markup=False)
            console.print(f"see it in MLflow: {self._tracker.where(self.run_id)}", highlight=False, soft_wrap=True)

    def _read_jobs(self) -> "tuple[Store, list[StoredRun]] | tuple[None, None]":
        from bnexp.tracking.reader import Store

        if self._tracker.store is not None:
            with suppress(Exception):  # stores raise errors of many types; the tracker reports the next one
                store = Store(self._uri, self._experiment)
                return store, store.children(self.run_id)
        return None, None

    def _put_side_by_side(self, store: "Store", jobs: "list[StoredRun]") -> None:
        """Stores the table, and then the report and the plots; if one of these cannot be made, the others still are."""
        from bnexp.compare.report import write_csv, write_pictures
        from bnexp.compare.table import compare

        self._shown = comparison = compare(jobs)
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
        """Logs the best job, the first one with the highest headline accuracy, which a search would choose as well."""
        measured = [job for job in jobs if job.status == "FINISHED" and HEADLINE in job.metrics]
        if measured:
            best = max(measured, key=lambda job: job.metrics[HEADLINE])
            self._tracker.log({SWEEP_BEST: best.metrics[HEADLINE]}, step=self._tracker.resumed)
            self._tracker.tag({BEST_TAG: best.name, BEST_RUN_TAG: best.run_id})


def lead_sweep(config: DictConfig) -> None:
    """Starts a sweep's parent run, and prepares launcher, sweeper and jobs for it.

    Args:
        config: the sweep's config, as Hydra passes it to a callback when the sweep starts; it is changed.

    Raises:
        UserError: the tracking store does not answer.
    """
    sweep = Sweep.start(config)
    _leading.append(sweep)
    start_cluster(config.hydra.launcher)
    tell_jobs(config, PARENT_VARIABLE, sweep.run_id)
    total = count_jobs(config)
    tell_jobs(config, JOBS_VARIABLE, total)
    if runs_jobs_here(config.hydra.launcher):
        sweep.bar = JobsBar(total)
    share_cores(config)
    given = [override.lstrip("+").partition("=")[0] for override in config.hydra.overrides.hydra]
    for key, value in SEARCH.items():
        if key in config.hydra.sweeper and f"hydra.sweeper.{key}" not in given:
            with read_write(config.hydra.sweeper):
                config.hydra.sweeper[key] = value


def leads_sweep() -> bool:
    """Tells whether this process leads a sweep, and does not only run one of its jobs."""
    return bool(_leading)


def finish_sweep(error: BaseException | None = None) -> list[str]:
    """Ends the parent run of the sweep that this process leads, if it leads one, and prints the table.

    Args:
        error: the exception that ended the sweep; None if there was none.

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
    sweep = _leading.pop()
    if sweep.bar:
        sweep.bar.stop()
    lost = sweep.finish(error)
    sweep.show()
    return lost


def job_ended() -> None:
    """Advances the sweep's progress bar, if this process shows one."""
    if _leading and _leading[-1].bar:
        _leading[-1].bar.advance()


def join_sweep(folder: str, uri: str) -> None:
    """Changes a job's working directory to that of the sweep, if the job's machine has it, and checks the store.

    Args:
        folder: the folder in which the sweep was started.
        uri: the tracking URI of the sweep.

    Raises:
        UserError: the store is an SQLite file that the job's machine does not have.
    """
    with suppress(OSError):
        os.chdir(folder)
    database = sqlite_file(uri)
    if os.environ.get(PARENT_VARIABLE) and database is not None and not os.path.exists(database):
        # MLflow would create an empty store on that machine, and the run would be lost
        raise UserError(
            f"tracking.uri={uri}: must be a store that every machine of the sweep reaches, and {socket.gethostname()} "
            "has no such file. Start mlflow server, and give tracking.uri=http://HOST:5000."
        )
