"""Tracked runs: the only module that imports MLflow."""

import logging
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd
from filelock import FileLock

from bnexp.errors import UserError, first_line
from bnexp.folders import require_writable
from bnexp.interrupt import uninterrupted

# MLflow's settings; a user's own win
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
# whether anything answers at all is known much sooner
FIRST_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
SILENCE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the report has it
}
_USERS_OWN = frozenset(os.environ)
os.environ.update({key: value for key, value in (PATIENCE | SILENCE).items() if key not in _USERS_OWN})

import mlflow  # noqa: E402  (reads the settings above)
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

# MLflow tells of a new store's tables, urllib3 of every attempt to reach a server; an error of theirs becomes a message
logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("urllib3").setLevel(logging.ERROR)

# without it MLflow 3.17 shows pages about language models
MODEL_TRAINING = "?workflowType=machine_learning"

# MLflow's own limits for one request
METRICS_A_BATCH, PARAMS_A_BATCH = 1000, 100

# metrics that come sooner after the last request wait for the next, so that the UI shows a run that is going on
SECONDS_BETWEEN_FLUSHES = 2.0


class Tracker:
    """A tracking store and at most one run in it, as a context: FINISHED, FAILED or KILLED at its end, never RUNNING.

    Args:
        uri: any MLflow tracking URI; the folder of an SQLite file is made where it is missing.
        experiment: made where it does not exist.
        runs: the folder under which an SQLite store keeps its artifacts; a server keeps them where it likes.
        parent: the run id of the sweep that the run belongs to; none where it stands alone.
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
        self.parent = parent
        self.run_id, self._failed_start = "", failed_start
        self.shown_uri = without_password(uri)
        require_writable(runs, "runs")
        database = uri.removeprefix("sqlite:///").partition("?")[0] if uri.startswith("sqlite:///") else ""
        if database:
            require_writable(Path(database).parent, f"tracking.uri={uri}")
        try:
            # two processes that make the same tables or the same experiment at once would fail each other
            with FileLock(runs / ".mlflow.lock"), _settings(FIRST_PATIENCE):
                self.client = mlflow.MlflowClient(tracking_uri=uri)
                self.experiment_id = self._experiment(experiment, (runs / "artifacts") if database else None)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"tracking.uri={self.shown_uri}: no tracking store answers there ({first_line(error)}). "
                "Start one with mlflow server, or leave tracking.uri out to keep runs in runs/mlflow.db."
            ) from error
        self._waiting: list[Metric] = []
        self._flushed = time.monotonic()

    def _experiment(self, name: str, artifacts: Path | None) -> str:
        known = self.client.get_experiment_by_name(name)
        if known is None:
            location = artifacts.resolve().as_uri() if artifacts else None
            return str(self.client.create_experiment(name, artifact_location=location))
        if known.lifecycle_stage == "deleted":
            raise UserError(
                f"tracking.experiment={name}: that experiment is deleted. Restore it in the MLflow UI, or name another."
            )
        return str(known.experiment_id)

    def start(self, name: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Starts the run; to be called inside the tracker's `with` block, which ends it."""
        source = {"mlflow.user": _user(), "mlflow.source.name": "python -m bnexp", "mlflow.source.type": "LOCAL"}
        if self.parent:
            source["mlflow.parentRunId"] = self.parent
        with uninterrupted():  # between the run and its id there is no run that could be ended
            self.run_id = self.client.create_run(
                self.experiment_id, tags=source | dict(tags), run_name=name
            ).info.run_id
        pairs = [Param(key, str(value)) for key, value in params.items()]
        for i in range(0, len(pairs), PARAMS_A_BATCH):
            self.client.log_batch(self.run_id, params=pairs[i : i + PARAMS_A_BATCH])

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

    def table(self, frame: pd.DataFrame, name: str) -> None:
        """Stores a table that MLflow's UI shows, as the artifact `name`."""
        # MLflow looks for images among the columns of objects, which to pandas 3 does not mean strings any more
        self.client.log_table(self.run_id, frame.astype(object), name)

    def artifacts(self, folder: Path) -> None:
        """Stores everything in `folder` as the run's artifacts, under the same names."""
        self.client.log_artifacts(self.run_id, str(folder))

    def discard(self) -> None:
        """Deletes the run, which MLflow keeps among its deleted ones, and forgets it."""
        self.client.set_terminated(self.run_id, status="FAILED")
        self.client.delete_run(self.run_id)
        self.run_id = ""

    def where(self) -> str:
        """Returns what shows the run in a browser: a server's address of it, or the command that starts one."""
        if self.shown_uri.startswith(("http://", "https://")):
            return f"{self.shown_uri.rstrip('/')}/#/experiments/{self.experiment_id}/runs/{self.run_id}{MODEL_TRAINING}"
        page = f"#/experiments/{self.experiment_id}/runs/{self.run_id}/model-metrics{MODEL_TRAINING}"
        return (
            f"python -m mlflow ui --backend-store-uri {shlex.quote(self.shown_uri)}\n"
            f"then open http://127.0.0.1:5000/{page}"
        )

    def fetch(self, run_id: str, folder: Path) -> dict[str, str]:
        """Fetches a finished run's `config.yaml` and `checkpoint/` into `folder`, and returns its params.

        Raises:
            UserError: there is no such run, it has not finished, or the files are gone.
        """
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            raise UserError(
                f"restore={run_id}: {self.shown_uri} has no such run ({first_line(error)}). "
                "Copy the run id from the report of a run or from the MLflow UI."
            ) from error
        if run.info.status != "FINISHED":
            raise UserError(
                f"restore={run_id}: that run is {run.info.status}. Only a run that FINISHED can be restored."
            )
        folder.mkdir(parents=True, exist_ok=True)
        for artifact in ("config.yaml", "checkpoint"):
            try:
                self.client.download_artifacts(run_id, artifact, str(folder))
            except (MlflowException, OSError) as error:
                raise UserError(
                    f"restore={run_id}: its artifact {artifact} cannot be fetched ({first_line(error)}). "
                    f"Look for it under {run.info.artifact_uri}, or restore another run."
                ) from error
        return dict(run.data.params)

    def __enter__(self) -> Self:
        """Enters the block in which a run may start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the run with what it measured so far."""
        failed = isinstance(error, Exception)
        if failed and not self.run_id and self._failed_start:
            name, params = self._failed_start
            self.start(name, params=params, tags={})
        if not self.run_id:
            return
        status = "FINISHED" if error is None else "FAILED" if failed else "KILLED"
        with uninterrupted():
            try:
                self.flush()
                if error is not None:
                    self.tag({"bnexp.error": first_line(error)})
                self.client.set_terminated(self.run_id, status=status)
            except Exception as lost:
                raise UserError(
                    f"tracking.uri={self.shown_uri}: the store went away ({first_line(lost)}). Run {self.run_id} could "
                    f"not be ended as {status}, and what had not been sent is lost. Start the store, and run again."
                ) from lost


def without_password(uri: str) -> str:
    """Returns a tracking URI as it may be shown and stored."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)


@contextmanager
def _settings(values: Mapping[str, str]) -> Iterator[None]:
    """Gives MLflow other settings for a while, but not other ones than the user's own."""
    kept = {key: os.environ[key] for key in values if key not in _USERS_OWN}
    os.environ.update({key: values[key] for key in kept})
    try:
        yield
    finally:
        os.environ.update(kept)


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container's user need not be in any list of users
        return "unknown"
