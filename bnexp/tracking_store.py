"""An MLflow tracking store, spoken to in whole steps that may be repeated: what is there already is not sent twice."""

import logging
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from typing import Any

from filelock import FileLock

from bnexp.errors import UserError, first_line
from bnexp.folders import require_writable, sqlite_file
from bnexp.journal import Facts, Journal, Point

# MLflow's settings; a user's own win. A run whose store has gone waits this long once, and then goes on without it
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
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

# tags by which a run is found again, and MLflow's own for a sweep's jobs
KEY_TAG, PARENT_TAG = "bnexp.key", "mlflow.parentRunId"

# why a run did not finish, and how often it was continued
ERROR_TAG, RESUMED_TAG = "bnexp.error", "bnexp.resumed"

# why a sweep's report or plots are missing
UNDRAWN_TAG = "bnexp.undrawn"

# what is said of how a run ended, and not of the run itself: a run that is continued loses it
OF_THE_END = (ERROR_TAG, UNDRAWN_TAG)


class TrackingStore:
    """An experiment in a tracking store.

    Args:
        uri: any MLflow tracking URI; the folder of an SQLite file is made where it is missing.
        experiment: made where it does not exist.
        runs: the folder under which an SQLite store keeps its artifacts; a server keeps them where it likes.

    Raises:
        UserError: the URI leads nowhere that could ever answer, or the experiment is deleted.
        StoreError: nobody answers.
    """

    def __init__(self, uri: str, experiment: str, runs: Path) -> None:
        self.shown_uri = without_password(uri)
        database = sqlite_file(uri)
        if database:
            require_writable(Path(database).parent, f"tracking.uri={uri}")
        try:
            # two processes that make the same tables or the same experiment at once would fail each other
            with FileLock(runs / ".mlflow.lock"), settings(FIRST_PATIENCE):
                self.client = mlflow.MlflowClient(tracking_uri=uri)
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

    def create(self, facts: Facts) -> str:
        """Makes a run, with its tags and params, and returns its id."""
        source = {"mlflow.user": _user(), "mlflow.source.name": "python -m bnexp", "mlflow.source.type": "LOCAL"}
        tags = source | {KEY_TAG: facts.key} | dict(facts.tags)
        if facts.parent:
            tags[PARENT_TAG] = facts.parent
        run = self.client.create_run(self.experiment_id, start_time=facts.started, tags=tags, run_name=facts.name)
        self.params(run.info.run_id, facts.params)
        return str(run.info.run_id)

    def params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Sets params; again is no mistake."""
        pairs = [Param(key, value) for key, value in params.items()]
        for i in range(0, len(pairs), PARAMS_A_BATCH):
            self.client.log_batch(run_id, params=pairs[i : i + PARAMS_A_BATCH])

    def send(self, run_id: str, points: Sequence[Point]) -> None:
        """Sends metrics."""
        metrics = [Metric(*point) for point in points]
        for i in range(0, len(metrics), METRICS_A_BATCH):
            self.client.log_batch(run_id, metrics=metrics[i : i + METRICS_A_BATCH])

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Sets tags."""
        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def resume(self, journal: Journal) -> None:
        """Has a run go on that the store has, and sends what its journal has beyond that."""
        run_id = journal.facts.run_id
        self.client.update_run(run_id, status=journal.facts.status)
        for tag in set(OF_THE_END) & self.client.get_run(run_id).data.tags.keys():
            self.client.delete_tag(run_id, tag)
        self._complete(journal)

    def discard(self, run_ids: Iterable[str]) -> None:
        """Deletes runs, which MLflow keeps among its deleted ones."""
        for run_id in run_ids:
            self.client.set_terminated(run_id, status="KILLED")
            self.client.delete_run(run_id)

    def end_children(self, run_id: str) -> None:
        """Ends as KILLED the jobs of a sweep whose process died, wherever that was."""
        condition = f"tags.`{PARENT_TAG}` = '{run_id}' and attributes.status = 'RUNNING'"
        for run in self.client.search_runs([self.experiment_id], condition):
            self.tag(run.info.run_id, {ERROR_TAG: "the process died"})
            self.client.set_terminated(run.info.run_id, status="KILLED")

    def tagged(self, tags: Mapping[str, str]) -> list[Any]:
        """Returns MLflow's runs that carry all of `tags`, newest first."""
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return list(self.client.search_runs([self.experiment_id], condition, order_by=["attributes.start_time DESC"]))

    def deliver(self, journal: Journal) -> str:
        """Brings a journal whose run has ended to the store; done again, or after a kill, it sends what is missing.

        Returns:
            The run's id.
        """
        run_id = self.run_of(journal.facts)
        if run_id != journal.facts.run_id:
            journal.update(run_id=run_id)
        self._complete(journal)
        if any(journal.artifacts.iterdir()):
            self.client.log_artifacts(run_id, str(journal.artifacts))
        self.client.set_terminated(run_id, status=journal.facts.status, end_time=journal.facts.ended)
        journal.update(delivered=True)
        return run_id

    def run_of(self, facts: Facts) -> str:
        """Returns the id of the run that is meant; made where the store has none."""
        if facts.run_id:
            try:
                if self.client.get_run(facts.run_id).info.lifecycle_stage != "deleted":
                    return facts.run_id
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # so it is in another store than where it was made
                    raise
        # it may have been made without its id coming back, because the connection or the process was gone
        made = self.tagged({KEY_TAG: facts.key})
        return str(made[0].info.run_id) if made else self.create(facts)

    def _complete(self, journal: Journal) -> None:
        run_id = journal.facts.run_id
        self.params(run_id, journal.facts.params)
        self.send(run_id, self._missing(run_id, journal.points))
        self.tag(run_id, journal.facts.tags)

    def _missing(self, run_id: str, points: Iterable[Point]) -> list[Point]:
        stored = {
            (metric.key, metric.step)
            for key in self.client.get_run(run_id).data.metrics
            for metric in self.client.get_metric_history(run_id, key)
        }
        return [point for point in points if (point.key, point.step) not in stored]

    def page(self, run_id: str) -> str:
        """Returns what shows a run in a browser: a server's address of it, or the command that starts one."""
        if self.shown_uri.startswith(("http://", "https://")):
            return f"{self.shown_uri.rstrip('/')}/#/experiments/{self.experiment_id}/runs/{run_id}{MODEL_TRAINING}"
        page = f"#/experiments/{self.experiment_id}/runs/{run_id}/model-metrics{MODEL_TRAINING}"
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


class StoreError(UserError):
    """Nobody answers at a tracking URI, now."""


def without_password(uri: str) -> str:
    """Returns a tracking URI as it may be shown and stored."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)


@contextmanager
def settings(values: Mapping[str, str]) -> Iterator[None]:
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
