"""Runs that nobody ran: as the store hands them out, and written to a real store."""

from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from small import store

from bnexp.names import PARENT_TAG, SWEEP_TAG
from bnexp.tracking.reader import StoredRun

PARAMS = {"dataset": "digits", "network": "mlp", "variant": "ema", "final_pass": "none", "optimizer": "adam"} | {
    "decay": "0.9",
    "variant.decay": "0.9",
    "seed": "0",
    "steps": "30",
    "learning_rate": "0.01",
    "restore": "None",
    "tracking.uri": "sqlite:///runs/mlflow.db",
}

METRICS = {
    "test/accuracy": 0.9,
    "test/accuracy_before_final_pass": 0.9,
    "test/accuracy_batched": 0.9,
    "test/accuracy_batch_statistics": 0.1,
    "test/flips": 0.0,
    "test/moved": 0.0,
    "moving/bn1/mean_error": 0.02,
    "moving/bn1/variance_ratio": 0.98,
    "moving/bn2/mean_error": 0.5,
    "moving/bn2/variance_ratio": 3.0,
}

WORDS = {"bnexp.sentence": "what was seen", "bnexp.cure": "what helps", "bnexp.document": "a page"}


def params(**changes):
    """Returns a run's params; a decay changes both of its names, and `variant__x` stands for `variant.x`."""
    changes = {name.replace("__", "."): str(value) for name, value in changes.items()}
    if "decay" in changes:
        changes = {"variant.decay": changes["decay"]} | changes
    return PARAMS | changes


def fake_run(number=0, *, status="FINISHED", verdict="healthy", accuracy=0.9, batched=None, tags=(), **changes):
    """Returns a run as the store hands it out; `number` makes its id, its name and its start."""
    batched = accuracy if batched is None else batched
    metrics = METRICS | {"test/accuracy": accuracy, "test/accuracy_batched": batched}
    metrics["test/accuracy_before_final_pass"] = accuracy
    return StoredRun(
        run_id=f"{number:032x}",
        name=f"run {number}",
        status=status,
        params=params(**changes),
        metrics=metrics if status == "FINISHED" else {},
        tags={"bnexp.verdict": verdict} | WORDS | dict(tags) if status == "FINISHED" else dict(tags),
        started=number,
    )


def trajectories(*, seed=0, decay=0.9, steps=30, layers=("bn1", "bn2"), channels=8):
    """Returns the arrays of a trajectories.npz: averages of batches, whose population stands still."""
    random = np.random.default_rng(seed)
    arrays = {"steps": np.arange(1, steps + 1), "snapshot_steps": np.arange(10, steps + 1, 10)}
    for layer in layers:
        for statistic, start in (("mean", 0.0), ("variance", 1.0)):
            population = random.uniform(1, 3, channels)
            batches = population * random.uniform(0.9, 1.1, [steps, channels])
            moving, rows = np.full(channels, start), []
            for batch in batches:
                moving = decay * moving + (1 - decay) * batch
                rows.append(moving)
            arrays[f"{layer}/moving_{statistic}"] = np.array(rows, np.float32)
            arrays[f"{layer}/batch_{statistic}"] = batches.astype(np.float32)
            arrays[f"{layer}/population_{statistic}"] = np.tile(population, [steps // 10, 1]).astype(np.float32)
    return arrays


class FakeStore:
    """A real SQLite store with runs that were written and not run.

    Args:
        folder: the store lies in its `runs/`.
    """

    def __init__(self, folder: Path) -> None:
        self.uri = store(folder)
        self.client = MlflowClient(tracking_uri=self.uri)
        location = (folder / "runs" / "artifacts").resolve().as_uri()
        self.experiment = self.client.create_experiment("bnexp", artifact_location=location)
        self._artifacts = folder / "runs" / "artifacts"

    def sweep(self, name="variant=ema,keras"):
        """Writes a sweep's parent run and returns its id."""
        run = self.client.create_run(self.experiment, tags={SWEEP_TAG: name}, run_name=f"sweep {name}")
        self.client.set_terminated(run.info.run_id, status="FINISHED")
        return run.info.run_id

    def add(self, *, parent="", name="a run", arrays=None, **words):
        """Writes a run and returns its id."""
        fake = fake_run(**words)
        tags = {PARENT_TAG: parent} if parent else {}
        run_id = self.client.create_run(self.experiment, tags=tags, run_name=name).info.run_id
        self.client.log_batch(
            run_id,
            metrics=[Metric(key, value, 0, 0) for key, value in fake.metrics.items()],
            params=[Param(key, value) for key, value in fake.params.items()],
            tags=[RunTag(key, value) for key, value in fake.tags.items()],
        )
        if arrays is not None:
            folder = self.artifacts(run_id)
            folder.mkdir(parents=True)
            np.savez(folder / "trajectories.npz", **arrays)
        if fake.status != "RUNNING":
            self.client.set_terminated(run_id, status=fake.status)
        return run_id

    def artifacts(self, run_id):
        """Returns the folder of a run's artifacts."""
        return self._artifacts / run_id / "artifacts"
