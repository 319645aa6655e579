"""Finished runs, read back from the tracking store."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np

from bnexp.errors import UserError, first_line
from bnexp.names import PARENT_TAG, SWEEP_TAG, VERDICT_TAG
from bnexp.tracking.mlflow_client import MlflowClient, MlflowException
from bnexp.tracking.uri import sqlite_file, without_password

# the most runs in one comparison
MOST_RUNS = 10_000


@dataclass(frozen=True)
class StoredRun:
    """One run as the store has it.

    Attributes:
        run_id: the run's id in MLflow.
        name: the run's name in MLflow.
        status: `"FINISHED"`, `"FAILED"`, `"KILLED"` or `"RUNNING"`.
        params: the run's settings as text, by dotted key.
        metrics: the last value of each metric by name.
        tags: the run's tags by name.
        started: the time at which the run started, in milliseconds since 1970.
        artifact_uri: the address of the run's artifacts: a path, a file URI, or the address of a server or a bucket.
    """

    run_id: str
    name: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    started: int = 0
    artifact_uri: str = ""

    @property
    def verdict(self) -> str:
        """Returns the run's verdict; an empty string if there is none."""
        return self.tags.get(VERDICT_TAG, "")


class Store:
    """An experiment in a tracking store, read only.

    Args:
        uri: any MLflow tracking URI.
        experiment: the name of the experiment whose runs are read.

    Attributes:
        shown_uri: the URI without its password.
        experiment: the name of the experiment.
        experiment_id: the id of the experiment in MLflow.
        client: the MLflow client that reads.

    Raises:
        UserError: the store does not answer or has no such experiment.

    Example:
        >>> store = Store("sqlite:///runs/mlflow.db", "bnexp")
        >>> store.search('params.variant = "update_ops"')[0].status
        'FINISHED'
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self.shown_uri, self.experiment = without_password(uri), experiment
        database = sqlite_file(uri)
        if database is not None and not Path(database).exists():
            # MLflow would create an empty store there
            raise UserError(f"tracking.uri={uri}: there is no such file. Run python -m bnexp first, or in that folder.")
        try:
            self.client = MlflowClient(tracking_uri=uri)
            found = self.client.get_experiment_by_name(experiment)
        except Exception as error:
            raise UserError(
                f"tracking.uri={self.shown_uri}: no tracking store answers there ({first_line(error)}). "
                "Give the URI that the runs were tracked with."
            ) from error
        if found is None:
            known = ", ".join(e.name for e in self.client.search_experiments())
            raise UserError(
                f"tracking.experiment={experiment}: {self.shown_uri} has no such experiment. Take one of {known}."
            )
        self.experiment_id = str(found.experiment_id)

    def search(self, condition: str = "") -> list[StoredRun]:
        """Returns the runs that match a filter, newest first, without the parent runs of sweeps.

        Args:
            condition: a filter in MLflow's language, such as `params.decay = "0.9"`; empty returns all runs.

        Raises:
            UserError: MLflow does not understand the filter.
        """
        runs: list[StoredRun] = []
        token = None
        while len(runs) < MOST_RUNS:
            try:
                page = self.client.search_runs(
                    [self.experiment_id], condition, order_by=["attributes.start_time DESC"], page_token=token
                )
            except MlflowException as error:
                raise UserError(
                    f"filter={condition}: MLflow does not understand it ({first_line(error)}). "
                    "Write for example filter='params.decay = \"0.9\" and metrics.`test/accuracy` > 0.9'."
                ) from error
            runs += [_stored(run) for run in page]
            token = page.token
            if not token:
                break
        return [run for run in runs if SWEEP_TAG not in run.tags]

    def children(self, parent_id: str) -> list[StoredRun]:
        """Returns the jobs of a sweep in the order in which they started.

        Args:
            parent_id: the id of the sweep's parent run.
        """
        return self.search(f"tags.`{PARENT_TAG}` = '{parent_id}'")[::-1]

    def get(self, run_ids: Sequence[str]) -> list[StoredRun]:
        """Returns runs by id, in the order of the ids, each once.

        Args:
            run_ids: the ids in MLflow; that of a sweep's parent run stands for all of its jobs.

        Raises:
            UserError: the store has no run with one of these ids.
        """
        runs: list[StoredRun] = []
        for run_id in run_ids:
            try:
                run = _stored(self.client.get_run(run_id))
            except MlflowException as error:
                raise UserError(
                    f"runs=[{run_id}]: the store has no such run ({first_line(error)}). Copy its id from a report or "
                    "from the MLflow UI."
                ) from error
            runs += self.children(run_id) if SWEEP_TAG in run.tags else [run]
        # without repetitions, since a sweep and one of its jobs may both have been given
        return list({run.run_id: run for run in runs}.values())

    def latest_sweep(self) -> list[StoredRun]:
        """Returns the jobs of the newest sweep; all runs if there is no sweep.

        Raises:
            UserError: there are no runs.
        """
        sweeps = self.client.search_runs(
            [self.experiment_id], f"tags.`{SWEEP_TAG}` != ''", order_by=["attributes.start_time DESC"], max_results=1
        )
        runs = self.children(sweeps[0].info.run_id) if sweeps else self.search()[::-1]
        if not runs:
            raise UserError("there are no runs to compare. Run python -m bnexp -m variant=contrib,ema first.")
        return runs

    @contextmanager
    def trajectories(self, run: StoredRun) -> Iterator[Mapping[str, np.ndarray]]:
        """Opens a run's trajectories.npz in the block; an array is read when it is accessed.

        Args:
            run: the run whose file is opened.

        Yields:
            The arrays by name; empty if the run has no such file, as a restored run.

        Raises:
            ValueError: the file is damaged or cannot be fetched.
        """
        with TemporaryDirectory(prefix="bnexp-") as folder, ExitStack() as opened:
            try:
                path = self._fetch(run, "trajectories.npz", Path(folder))
                # opened here, since NumPy does not close a file that it finds damaged
                file = opened.enter_context(path.open("rb")) if path else None
                archive = opened.enter_context(np.load(file, allow_pickle=False)) if file else {}
            except Exception as error:  # artifact stores, and damaged files, raise errors of many types
                raise ValueError(f"trajectories.npz cannot be read ({first_line(error)})") from error
            yield archive

    def _fetch(self, run: StoredRun, name: str, folder: Path) -> Path | None:
        parsed = urlparse(run.artifact_uri)
        if parsed.scheme in ("", "file"):
            # not copied: the trajectories of a sweep are hundreds of megabytes
            path = Path(url2pathname(parsed.path), name)
            return path if path.is_file() else None
        if not any(artifact.path == name for artifact in self.client.list_artifacts(run.run_id)):
            return None
        return Path(self.client.download_artifacts(run.run_id, name, str(folder)))


def _stored(run: Any) -> StoredRun:
    data, info = run.data, run.info
    return StoredRun(
        info.run_id,
        info.run_name or "",
        info.status,
        dict(data.params),
        dict(data.metrics),
        dict(data.tags),
        info.start_time or 0,
        info.artifact_uri or "",
    )
