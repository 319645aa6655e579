"""Tracked runs: the only module that imports MLflow."""

import json
import os
import time
from collections.abc import Mapping
from getpass import getuser
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from bnexp.errors import UserError

# a server that is down must say so in seconds; users' own settings win
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

import mlflow  # noqa: E402  (reads the settings above)
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

# MLflow's own limits for one request
METRICS_A_BATCH, PARAMS_A_BATCH = 1000, 100

# metrics that come sooner after the last request wait for the next, so that the UI shows a run that is going on
SECONDS_BETWEEN_FLUSHES = 2.0


class Tracker:
    """One MLflow run, as a context: FINISHED, FAILED or KILLED at its end, and never left RUNNING.

    Args:
        uri: any MLflow tracking URI; the folder of an SQLite file is made where it is missing.
        experiment: made where it does not exist.
        runs: the folder under which a local store keeps its artifacts.

    Raises:
        UserError: the URI leads nowhere.
    """

    def __init__(self, *, uri: str, experiment: str, runs: Path) -> None:
        self.uri = uri
        if uri.startswith("sqlite:///"):
            Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        runs.mkdir(parents=True, exist_ok=True)
        try:
            # two processes that make the same tables or the same experiment at once would fail each other
            with FileLock(runs / ".mlflow.lock"):
                self.client = mlflow.MlflowClient(tracking_uri=uri)
                self.experiment_id = self._experiment(experiment, runs)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"tracking.uri={uri}: no tracking store answers there ({first_line(error)}). Start one with "
                "mlflow server, or leave tracking.uri out to keep runs in runs/mlflow.db."
            ) from error
        self.run_id = ""
        self._waiting: list[Metric] = []
        self._flushed = time.monotonic()

    def _experiment(self, name: str, runs: Path) -> str:
        known = self.client.get_experiment_by_name(name)
        if known is None:
            local = urlsplit(self.uri).scheme == "sqlite"
            location = (runs / "artifacts").resolve().as_uri() if local else None
            return str(self.client.create_experiment(name, artifact_location=location))
        if known.lifecycle_stage == "deleted":
            raise UserError(
                f"tracking.experiment={name}: that experiment is deleted. Restore it in the MLflow UI, or name another."
            )
        return str(known.experiment_id)

    def start(self, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> "Tracker":
        """Starts the run; use the tracker as a context from here on."""
        source = {"mlflow.user": getuser(), "mlflow.source.name": "python -m bnexp", "mlflow.source.type": "LOCAL"}
        run = self.client.create_run(self.experiment_id, tags=source | dict(tags), run_name=name)
        self.run_id = run.info.run_id
        pairs = [Param(key, str(value)) for key, value in params.items()]
        for i in range(0, len(pairs), PARAMS_A_BATCH):
            self.client.log_batch(self.run_id, params=pairs[i : i + PARAMS_A_BATCH])
        return self

    def log(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Logs metrics of one step; sent in batches."""
        now = int(time.time() * 1000)
        self._waiting += [Metric(key, float(value), now, step) for key, value in metrics.items()]
        if time.monotonic() - self._flushed > SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        """Sends the metrics that wait."""
        for i in range(0, len(self._waiting), METRICS_A_BATCH):
            self.client.log_batch(self.run_id, metrics=self._waiting[i : i + METRICS_A_BATCH])
        self._waiting, self._flushed = [], time.monotonic()

    def tag(self, tags: Mapping[str, str]) -> None:
        """Sets tags of the run."""
        self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def artifacts(self, folder: Path) -> None:
        """Stores everything in `folder` as the run's artifacts, under the same names."""
        self.client.log_artifacts(self.run_id, str(folder))

    def __enter__(self) -> "Tracker":
        """Enters the run."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the run with what it measured so far."""
        status = "FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED"
        try:
            self.flush()
            if error is not None:
                self.tag({"bnexp.error": first_line(error)})
        finally:
            self.client.set_terminated(self.run_id, status=status)


def fetch_run(uri: str, run_id: str, folder: Path) -> tuple[dict[str, str], Path]:
    """Fetches a finished run's params and artifacts.

    Returns:
        The run's params, and the folder that holds `config.yaml` and `checkpoint/`.

    Raises:
        UserError: there is no such run, or it has not finished.
    """
    client = mlflow.MlflowClient(tracking_uri=uri)
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise UserError(
            f"restore={run_id}: {uri} has no such run. Copy the run id from the report of a run or from the MLflow UI."
        ) from error
    if run.info.status != "FINISHED":
        raise UserError(f"restore={run_id}: that run is {run.info.status}. Only a run that FINISHED can be restored.")
    folder.mkdir(parents=True, exist_ok=True)
    for artifact in ("config.yaml", "checkpoint"):
        client.download_artifacts(run_id, artifact, str(folder))
    return dict(run.data.params), folder


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a nested config as one level, its keys joined by dots; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list) else value
    return flat


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or its type where it has none."""
    return str(error).strip().split("\n")[0][:500] or type(error).__name__
