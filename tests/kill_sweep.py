"""Kills a sweep with kill -9 at random moments, resumes it each time, and compares it with one that was left in peace.

    python tests/kill_sweep.py [kills [seed [override ...]]]      twenty kills take about ten minutes on two idle cores
    python tests/kill_sweep.py 10 0 decay=0.9,0.99 steps=40000    a sweep whose jobs share their training

When the sweep is done before it was killed that often, another is started in a folder of its own. In the end each has
exactly one finished run a job and none that is RUNNING, and every run has, bit for bit, the variables, the trajectories and
the metrics of the one that was never killed.
"""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow import MlflowClient

# long enough that most kills meet a training, and short enough that the whole takes minutes
JOBS = ("variant=update_ops,zero_debias", "seed=0,1", "steps=20000")

# of the time that the whole sweep takes in peace
LATEST_KILL = 0.5


@dataclass
class Tally:
    """What happened on the way."""

    kills: int = 0
    in_training: int = 0  # of them, with a savepoint on the disk
    resumed: int = 0  # trainings that went on from a savepoint
    folders: list[Path] = field(default_factory=list)  # one a sweep


def sweep(folder: Path, jobs: tuple[str, ...], *more: str) -> subprocess.Popen[bytes]:
    """Starts a sweep whose `runs/` goes under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    line = [sys.executable, "-m", "bnexp", "-m", *jobs, *more]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(line, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def in_peace(folder: Path, jobs: tuple[str, ...]) -> float:
    """Runs a sweep to its end and returns the seconds it took."""
    started = time.monotonic()
    status = sweep(folder, jobs).wait(1800)
    assert status == 0, (folder / "log").read_text()
    return time.monotonic() - started


def killed(folder: Path, jobs: tuple[str, ...], *, kills: int, longest: float, seed: int) -> Tally:
    """Kills and resumes sweeps until the last is done and the kills are enough."""
    moments, tally = random.Random(seed), Tally()
    while tally.kills < kills:
        here = folder / str(len(tally.folders))
        tally.folders.append(here)
        process = sweep(here, jobs)
        while True:
            try:
                limit = moments.uniform(0, longest) if tally.kills < kills else 1800
                status = process.wait(limit)
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(60)
                tally.kills += 1
                tally.in_training += any((here / "runs" / "local").glob("*/savepoint/manifest.json"))
                process = sweep(here, jobs, "resume=true")
        log = (here / "log").read_text()
        assert status == 0, log
        tally.resumed += log.count("resumed after step")
    return tally


def runs_of(folder: Path) -> tuple[list[Any], list[Any]]:
    """Returns the parents and the jobs in a folder's store."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/runs/mlflow.db")
    runs = list(client.search_runs([client.get_experiment_by_name("bnexp").experiment_id]))
    return [run for run in runs if "bnexp.sweep" in run.data.tags], [
        run for run in runs if "bnexp.job" in run.data.tags
    ]


def contents(folder: Path, run: Any) -> dict[str, np.ndarray]:
    """Returns everything a run measured, but for how long things took, as arrays by name."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/runs/mlflow.db")
    found: dict[str, np.ndarray] = {}
    for key in run.data.metrics:
        if not key.endswith("seconds"):
            history = sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key))
            found[key] = np.array(history)
    artifacts = folder / "runs" / "artifacts" / run.info.run_id / "artifacts"
    for name in ("checkpoint/variables.npz", "trajectories.npz"):
        with np.load(artifacts / name) as archive:
            found |= {f"{name}/{key}": archive[key] for key in archive.files}
    return found


def compare(reference: Path, folder: Path) -> int:
    """Asserts that the sweep in `folder` is whole and like the one in `reference`, and returns the arrays compared."""
    _, expected = runs_of(reference)
    parents, jobs = runs_of(folder)
    assert [parent.info.status for parent in parents] == ["FINISHED"]
    assert [job.info.status for job in jobs] == ["FINISHED"] * len(expected)
    assert {job.data.tags["mlflow.parentRunId"] for job in jobs} == {parents[0].info.run_id}
    assert not list((folder / "runs" / "local").glob("*/run.json"))
    right = {run.data.tags["bnexp.job"]: run for run in expected}
    assert sorted(job.data.tags["bnexp.job"] for job in jobs) == sorted(right)
    compared = 0
    for job in jobs:
        found, wanted = contents(folder, job), contents(reference, right[job.data.tags["bnexp.job"]])
        assert found.keys() == wanted.keys()
        for name, array in wanted.items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{job.info.run_name}: {name}")
        compared += len(wanted)
    return compared


def main() -> None:
    """Runs the whole and prints its figures."""
    given = sys.argv[1:3]
    kills, seed = map(int, given + ["20", "0"][len(given) :])
    overrides = tuple(sys.argv[3:]) or JOBS
    with TemporaryDirectory(prefix="bnexp-kills-") as name:
        reference = Path(name, "reference")
        seconds = in_peace(reference, overrides)
        print(f"in peace: {seconds:.0f} s", flush=True)
        tally = killed(Path(name, "killed"), overrides, kills=kills, longest=LATEST_KILL * seconds, seed=seed)
        compared = sum(compare(reference, folder) for folder in tally.folders)
        jobs = sum(len(runs_of(folder)[1]) for folder in tally.folders)
        print(
            f"{tally.kills} kills, {tally.in_training} of them with a savepoint; {len(tally.folders)} sweeps\n"
            f"{jobs} of {jobs} jobs finished, each once, and none is RUNNING\n"
            f"{tally.resumed} trainings went on from a savepoint\n{compared} arrays equal, bit for bit"
        )


if __name__ == "__main__":
    main()
