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
from bnexp.folders import sqlite_file
from bnexp.tracking_store import without_password  # before mlflow, which reads the settings that it makes

import mlflow  # isort: skip
from mlflow.exceptions import MlflowException  # isort: skip

PARENT_TAG = "mlflow.parentRunId"

# tag of a sweep's parent run
SWEEP_TAG = "bnexp.sweep"

# the most runs that one comparison takes
MOST_RUNS = 10_000


@dataclass(frozen=True)
class StoredRun:
    """One run as the store has it.

    Attributes:
        run_id: in MLflow.
        name: in MLflow.
        status: `"FINISHED"`, `"FAILED"`, `"KILLED"` or `"RUNNING"`.
        params: the flattened config.
        metrics: the last value of each metric.
        tags: the run's tags.
        started: milliseconds since 1970.
        artifact_uri: where its artifacts are.
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
        """Returns the diagnosis in one word; empty where there is none."""
        return self.tags.get("bnexp.verdict", "")


class Store:
    """A tracking store, read only.

    Args:
        uri: any MLflow tracking URI.
        experiment: the name of the experiment whose runs are read.

    Raises:
        UserError: the store does not answer or has no such experiment.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self.shown_uri, self.experiment = without_password(uri), experiment
        database = sqlite_file(uri)
        if database is not None and not Path(database).exists():
            # MLflow would make an empty store there
            raise UserError(f"tracking.uri={uri}: there is no such file. Run python -m bnexp first, or in that folder.")
        try:
            self.client = mlflow.MlflowClient(tracking_uri=uri)
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
        """Returns the runs that meet an MLflow filter such as `params.decay = "0.9"`, newest first, parents left out.

        Raises:
            UserError: the filter is not one of MLflow's.
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
        """Returns the jobs of a sweep, in the order in which they started."""
        return self.search(f"tags.`{PARENT_TAG}` = '{parent_id}'")[::-1]

    def get(self, run_ids: Sequence[str]) -> list[StoredRun]:
        """Returns runs by id, in that order; a sweep's parent stands for its jobs.

        Raises:
            UserError: there is no such run.
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
        # a sweep and one of its jobs may both have been named
        return list({run.run_id: run for run in runs}.values())

    def latest_sweep(self) -> list[StoredRun]:
        """Returns the jobs of the newest sweep; where there is none, every run.

        Raises:
            UserError: the experiment is empty.
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
        """Opens a run's trajectories.npz, whose arrays are read as they are asked for.

        Yields:
            The arrays by name; none where the run has no such file, as a restored one.

        Raises:
            ValueError: the file is damaged, or cannot be fetched.
        """
        with TemporaryDirectory(prefix="bnexp-") as folder, ExitStack() as opened:
            try:
                path = self._fetch(run, "trajectories.npz", Path(folder))
                # opened here, since NumPy does not close a file that it finds damaged
                file = opened.enter_context(path.open("rb")) if path else None
                archive = opened.enter_context(np.load(file, allow_pickle=False)) if file else {}
            except Exception as error:  # each artifact store has errors of its own, and so has each kind of damage
                raise ValueError(f"trajectories.npz cannot be read ({first_line(error)})") from error
            yield archive

    def _fetch(self, run: StoredRun, name: str, folder: Path) -> Path | None:
        parsed = urlparse(run.artifact_uri)
        if parsed.scheme in ("", "file"):
            # read where it lies: a sweep's trajectories are some hundred megabytes
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
