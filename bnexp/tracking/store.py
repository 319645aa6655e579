"""An MLflow tracking store, written in steps that may be repeated: what the store already has is not sent twice."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from getpass import getuser
from pathlib import Path
from typing import Any

from filelock import FileLock

from bnexp.errors import UserError, first_line
from bnexp.names import ERROR_TAG, KEY_TAG, OUTCOME_TAGS, PARENT_TAG
from bnexp.storage.folders import require_writable
from bnexp.tracking.journal import Journal, Point, RunRecord
from bnexp.tracking.mlflow_client import (
    CONNECT_TIMEOUT,
    Metric,
    MlflowClient,
    MlflowException,
    Param,
    RunTag,
    mlflow_settings,
)
from bnexp.tracking.uri import sqlite_file, without_password

# without it MLflow 3.17 shows pages about language models
MODEL_TRAINING = "?workflowType=machine_learning"

# MLflow's own limits for one request
METRICS_A_BATCH, PARAMS_A_BATCH = 1000, 100


class TrackingStore:
    """An experiment in a tracking store, for writing.

    Args:
        uri: any MLflow tracking URI; the folder of an SQLite file is created if it is missing.
        experiment: the name of the experiment; it is created if it does not exist.
        runs: the folder under which an SQLite store keeps its artifacts; a server decides itself where it keeps them.

    Attributes:
        shown_uri: the URI without its password.
        client: the MLflow client that writes.
        experiment_id: the id of the experiment in MLflow.

    Raises:
        UserError: the folder of an SQLite file cannot be written, or the experiment is deleted.
        StoreError: the store does not answer.

    Example:
        >>> store = TrackingStore("sqlite:///runs/mlflow.db", "bnexp", Path("runs"))
        >>> run_id = store.create(record)
    """

    def __init__(self, uri: str, experiment: str, runs: Path) -> None:
        self.shown_uri = without_password(uri)
        database = sqlite_file(uri)
        if database:
            require_writable(Path(database).parent, f"tracking.uri={uri}")
        try:
            # two processes that create the same tables or the same experiment at once would make each other fail
            with FileLock(runs / ".mlflow.lock"), mlflow_settings(CONNECT_TIMEOUT):
                self.client = MlflowClient(tracking_uri=uri)
                self.experiment_id = self._experiment(experiment, (runs / "artifacts") if database else None)
        except UserError:
            raise
        except Exception as error:
            raise StoreError(
                f"tracking.uri={self.shown_uri}: no tracking store answers there ({first_line(error)}). "
                "Start one with mlflow server, or leave tracking.uri out to keep runs in runs/mlflow.db."
            ) from error

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

    def create(self, record: RunRecord) -> str:
        """Creates a run with its tags and params, and returns its id.

        Args:
            record: what the journal holds of the run.
        """
        source = {"mlflow.user": _user(), "mlflow.source.name": "python -m bnexp", "mlflow.source.type": "LOCAL"}
        tags = source | {KEY_TAG: record.key} | dict(record.tags)
        if record.parent:
            tags[PARENT_TAG] = record.parent
        run = self.client.create_run(self.experiment_id, start_time=record.started, tags=tags, run_name=record.name)
        self.params(run.info.run_id, record.params)
        return str(run.info.run_id)

    def params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Sets a run's params; setting the same value again is allowed."""
        pairs = [Param(key, value) for key, value in params.items()]
        for i in range(0, len(pairs), PARAMS_A_BATCH):
            self.client.log_batch(run_id, params=pairs[i : i + PARAMS_A_BATCH])

    def send(self, run_id: str, points: Sequence[Point]) -> None:
        """Adds values of metrics to a run."""
        metrics = [Metric(*point) for point in points]
        for i in range(0, len(metrics), METRICS_A_BATCH):
            self.client.log_batch(run_id, metrics=metrics[i : i + METRICS_A_BATCH])

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets a run's tags; those that are left out keep their values."""
        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def resume(self, journal: Journal) -> None:
        """Marks a run of the store as continued, and sends what its journal has beyond that.

        Args:
            journal: the journal of the run; its record has the run's id and its present status.
        """
        run_id = journal.record.run_id
        self.client.update_run(run_id, status=journal.record.status)
        for tag in set(OUTCOME_TAGS) & self.client.get_run(run_id).data.tags.keys():
            self.client.delete_tag(run_id, tag)
        self._complete(journal)

    def discard(self, run_ids: Iterable[str]) -> None:
        """Ends runs as KILLED and deletes them; MLflow keeps them among the deleted runs."""
        for run_id in run_ids:
            self.client.set_terminated(run_id, status="KILLED")
            self.client.delete_run(run_id)

    def end_children(self, run_id: str) -> None:
        """Ends as KILLED those jobs of a sweep that the store still has as RUNNING, also those of other machines.

        Args:
            run_id: the id of the sweep's parent run; none of its jobs may be alive.
        """
        condition = f"tags.`{PARENT_TAG}` = '{run_id}' and attributes.status = 'RUNNING'"
        for run in self.client.search_runs([self.experiment_id], condition):
            self.tag(run.info.run_id, {ERROR_TAG: "the process died"})
            self.client.set_terminated(run.info.run_id, status="KILLED")

    def tagged(self, tags: Mapping[str, str]) -> list[Any]:
        """Returns MLflow's runs that have all of `tags` with these values, newest first."""
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return list(self.client.search_runs([self.experiment_id], condition, order_by=["attributes.start_time DESC"]))

    def deliver(self, journal: Journal) -> str:
        """Sends what the store lacks of a run that has ended, and ends the run in the store.

        Args:
            journal: the journal of the run; its record is updated.

        Returns:
            The run's id in MLflow.
        """
        run_id = self.run_of(journal.record)
        if run_id != journal.record.run_id:
            journal.update(run_id=run_id)
        self._complete(journal)
        if any(journal.artifacts.iterdir()):
            self.client.log_artifacts(run_id, str(journal.artifacts))
        self.client.set_terminated(run_id, status=journal.record.status, end_time=journal.record.ended)
        journal.update(delivered=True)
        return run_id

    def run_of(self, record: RunRecord) -> str:
        """Returns the id of a record's run in the store; the run is created if the store does not have it.

        Args:
            record: what the journal holds of the run.
        """
        if record.run_id:
            try:
                if self.client.get_run(record.run_id).info.lifecycle_stage != "deleted":
                    return record.run_id
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # the id is from another store, which is no error
                    raise
        # the run may exist though its id never arrived, because the connection or the process was lost
        made = self.tagged({KEY_TAG: record.key})
        return str(made[0].info.run_id) if made else self.create(record)

    def _complete(self, journal: Journal) -> None:
        run_id = journal.record.run_id
        self.params(run_id, journal.record.params)
        self.send(run_id, self._missing(run_id, journal.points))
        self.tag(run_id, journal.record.tags)

    def _missing(self, run_id: str, points: Iterable[Point]) -> list[Point]:
        stored = {
            (metric.key, metric.step)
            for key in self.client.get_run(run_id).data.metrics
            for metric in self.client.get_metric_history(run_id, key)
        }
        return [point for point in points if (point.key, point.step) not in stored]

    def page(self, run_id: str) -> str:
        """Returns how to see a run in a browser: its address on the server, or the command that starts a server."""
        if self.shown_uri.startswith(("http://", "https://")):
            return f"{self.shown_uri.rstrip('/')}/#/experiments/{self.experiment_id}/runs/{run_id}{MODEL_TRAINING}"
        page = f"#/experiments/{self.experiment_id}/runs/{run_id}/model-metrics{MODEL_TRAINING}"
        return (
            f"python -m mlflow ui --backend-store-uri {shlex.quote(self.shown_uri)}\n"
            f"then open http://127.0.0.1:5000/{page}"
        )

    def fetch(self, run_id: str, folder: Path) -> dict[str, str]:
        """Fetches a finished run's `config.yaml` and `checkpoint/` into `folder`, and returns its params.

        Args:
            run_id: the run's id in MLflow.
            folder: the folder to copy the files to; it is created if it is missing.

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


class StoreError(UserError):
    """A tracking store does not answer at present; it may answer later."""


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return "unknown"
