"""A sweep's parent run: its jobs hang below it, and at the end it holds what puts them side by side."""

import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from bnexp.errors import UserError, exit_with
from bnexp.folders import RUNS

if TYPE_CHECKING:
    from bnexp.compare.store import Store, StoredRun

# how a job, wherever its launcher runs it, learns whose child it is
PARENT_VARIABLE = "BNEXP_PARENT_RUN_ID"

# the sweep that this process leads; a callback is the only place where Hydra tells that one starts
_leading: list["Sweep"] = []


class Sweep:
    """The parent run of a sweep.

    Args:
        config: the sweep's config, composed without the values that it sweeps over.

    Raises:
        UserError: the tracking store does not answer.
    """

    def __init__(self, config: DictConfig) -> None:
        # here, so that --help and single runs do not wait for MLflow
        from bnexp.track import Tracker

        # not where it is tracked: a store's URI may hold a password
        overrides = " ".join(o for o in config.hydra.overrides.task if not o.lstrip("+").startswith("tracking."))
        self._uri, self._experiment = config.tracking.uri, config.tracking.experiment
        self._tracker = Tracker(uri=self._uri, experiment=self._experiment, runs=RUNS)
        tags = {"bnexp.sweep": overrides or "(defaults)", "bnexp.sweep.dir": str(config.hydra.sweep.dir)}
        self._tracker.start(f"sweep {overrides}", params={"overrides": overrides}, tags=tags)
        self.run_id = self._tracker.run_id

    def finish(self, error: BaseException | None = None) -> list[str]:
        """Puts the jobs side by side on the parent run and ends it: FINISHED only if every job did.

        Args:
            error: what ended the sweep before its last job, if anything did.

        Returns:
            The names of the jobs that did not finish.
        """
        from bnexp.compare.store import Store

        store = Store(self._uri, self._experiment)
        jobs = store.children(self.run_id)
        if not jobs and error is not None:
            # nothing started: there is nothing to hang below a parent, and the error is told on the command line
            self._tracker.discard()
            return []
        lost = [job.name for job in jobs if job.status != "FINISHED"]
        # what went wrong is written on the parent run; the caller knows it already
        with suppress(UserError if error is None else type(error)), self._tracker:
            self._tracker.log({"sweep/finished": len(jobs) - len(lost), "sweep/unfinished": len(lost)})
            if len(lost) < len(jobs):
                self._put_side_by_side(store, jobs)
            if error is not None:
                raise error
            if lost:
                raise UserError(f"{len(lost)} of {len(jobs)} jobs did not finish: {', '.join(lost)}")
        return lost

    def _put_side_by_side(self, store: "Store", jobs: "list[StoredRun]") -> None:
        """Stores the table, then the report and the plots; what cannot be drawn is told, and costs nothing else."""
        from bnexp.compare.report import write_csv, write_pictures
        from bnexp.compare.table import compare

        comparison = compare(jobs)
        self._tracker.table(comparison.table, "comparison.json")
        with TemporaryDirectory(prefix="bnexp-") as folder:
            write_csv(comparison, Path(folder, "comparison.csv"))
            self._tracker.artifacts(Path(folder))
        with TemporaryDirectory(prefix="bnexp-") as folder:
            problems = write_pictures(store, comparison, Path(folder))
            self._tracker.artifacts(Path(folder))
        if problems:
            self._tracker.tag({"bnexp.undrawn": " ".join(problems)})
            print(f"bnexp: the sweep's table is stored, but {' '.join(problems)}", file=sys.stderr)


class LeadSweep(Callback):
    """Starts the parent run when Hydra starts a sweep, and tells every job of it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Starts the parent run."""
        try:
            sweep = Sweep(config)
        except UserError as error:
            # Hydra makes a warning of any Exception in a callback, and goes on
            exit_with(error)
        _leading.append(sweep)
        # jobs are composed anew from these overrides, by every launcher and on every machine
        with read_write(config.hydra.overrides):
            config.hydra.overrides.hydra.append(f"++hydra.job.env_set.{PARENT_VARIABLE}={sweep.run_id}")


def finish_sweep(error: BaseException | None = None) -> list[str]:
    """Ends the parent run of the sweep that this process leads, if it leads one.

    Args:
        error: what ended the sweep before its last job, if anything did.

    Returns:
        The names of the jobs that did not finish.
    """
    return _leading.pop().finish(error) if _leading else []
