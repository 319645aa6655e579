"""Sweeps whose jobs run in other processes: every job a child of the sweep's run, once, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pytest
import yaml
from omegaconf import OmegaConf
from small import ONE_LAYER, client, store

from bnexp.launchers import share_cores
from bnexp.threads import VARIABLES

QUICK = ("dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4", "steps=12")

JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
CORES = os.cpu_count()

RAY = ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2")

pytestmark = pytest.mark.usefixtures("ray_alone")


JOBLIB_TARGET = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
RAY_TARGET = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"


@pytest.mark.parametrize(
    ("launcher", "threads"),
    [
        ({"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}, None),
        ({"_target_": JOBLIB_TARGET, "n_jobs": 1}, None),
        ({"_target_": JOBLIB_TARGET, "n_jobs": 2}, 4),
        ({"_target_": JOBLIB_TARGET, "n_jobs": 3}, 2),
        ({"_target_": JOBLIB_TARGET, "n_jobs": 20}, 1),
        ({"_target_": JOBLIB_TARGET, "n_jobs": -1}, 1),
        ({"_target_": JOBLIB_TARGET, "n_jobs": -5}, 2),
        ({"_target_": RAY_TARGET, "ray": {"init": {"address": None}, "remote": {}}}, 1),
        ({"_target_": RAY_TARGET, "ray": {"init": {"address": None, "num_cpus": 2}, "remote": {}}}, 4),
        ({"_target_": RAY_TARGET, "ray": {"init": {"address": None}, "remote": {"num_cpus": 4}}}, 4),
        ({"_target_": RAY_TARGET, "ray": {"init": {"address": "auto"}, "remote": {}}}, None),
    ],
)
def test_jobs_side_by_side_share_eight_cores_out(launcher, threads, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    config = OmegaConf.create({"hydra": {"launcher": launcher, "overrides": {"hydra": []}}})
    share_cores(config)
    told = [f"++hydra.job.env_set.{name}={threads}" for name in VARIABLES]
    assert config.hydra.overrides.hydra == ([] if threads is None else told)
    # who has said it already is not contradicted
    config.hydra.overrides.hydra = []
    monkeypatch.setenv(VARIABLES[0], "3")
    share_cores(config)
    assert config.hydra.overrides.hydra == []


def parent_and_children(folder):
    """Returns a sweep's run and its jobs, as the store has them; there is nothing else in it."""
    experiment = client(folder).get_experiment_by_name("bnexp")
    found = client(folder).search_runs([experiment.experiment_id])
    (parent,) = (run for run in found if "bnexp.sweep" in run.data.tags)
    children = [run for run in found if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    return parent, children


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [JOBLIB, ("hydra/launcher=submitit_local",)], ids=["joblib", "submitit_local"])
def test_every_job_is_a_child_once_and_a_failed_one_stops_no_other(launcher, folder, command):
    done = command("-m", *launcher, f"tracking.uri={store(folder)}", *QUICK, "decay=0.9,1.5,0.5")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    parent, children = parent_and_children(folder)
    assert Counter((run.data.params["decay"], run.info.status) for run in children) == Counter(
        [("0.9", "FINISHED"), ("1.5", "FAILED"), ("0.5", "FINISHED")]
    )
    # two at a time share the cores out; submitit_local starts as many as there are, and leaves that to the system
    limits = {run.data.tags["bnexp.device"].partition("; ")[2] for run in children if run.info.status == "FINISHED"}
    assert limits == ({"1 thread" if CORES < 4 else f"{CORES // 2} threads"} if launcher is JOBLIB else {""})
    (failed,) = (run for run in children if run.info.status == "FAILED")
    told = "decay must be at least 0 and less than 1, got 1.5. 0.9 suits short runs, 0.999 long ones."
    assert failed.data.tags["bnexp.error"] == told
    lost = failed.info.run_name
    assert done.stderr.splitlines()[-1] == f"bnexp: 1 of the sweep's jobs did not finish: {lost}"
    assert parent.info.status == "FAILED"
    assert parent.data.tags["bnexp.error"] == f"1 of 3 jobs did not finish: {lost}"
    assert (parent.data.metrics["sweep/finished"], parent.data.metrics["sweep/unfinished"]) == (2, 1)
    assert "comparison.csv" in [file.path for file in client(folder).list_artifacts(parent.info.run_id)]


@pytest.mark.slow
def test_a_search_maximises_the_headline_and_survives_a_failed_trial(folder, command):
    """Few steps against many: the accuracy differs, and Optuna's own direction would choose the worse."""
    # not its grid: where the last trial of a grid fails, the plugin itself does
    search = ("hydra/sweeper=optuna", "hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=1")  # draws 1, 0, 200
    search += ("hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1", "steps=choice(0,1,200)", "hydra.sweep.dir=sweep")
    done = command("-m", *search, f"tracking.uri={store(folder)}", *QUICK[:2], "batch_size=64")
    assert done.returncode == 1
    parent, children = parent_and_children(folder)
    assert sorted((run.data.params["steps"], run.info.status) for run in children) == [
        ("0", "FAILED"),
        ("1", "FINISHED"),
        ("200", "FINISHED"),
    ]
    accuracies = {
        run.data.params["steps"]: run.data.metrics["test/accuracy"] for run in children if run.info.status == "FINISHED"
    }
    assert accuracies["1"] < accuracies["200"]
    assert yaml.safe_load((folder / "sweep" / "optimization_results.yaml").read_text()) == {
        "name": "optuna",
        "best_params": {"steps": 200},
        "best_value": accuracies["200"],
    }
    (best,) = (run for run in children if run.data.params["steps"] == "200")
    assert parent.data.metrics["sweep/best_accuracy"] == accuracies["200"]
    assert parent.data.tags["bnexp.sweep.best"] == best.info.run_name
    assert parent.data.tags["bnexp.sweep.best_run"] == best.info.run_id


@pytest.mark.slow
def test_a_grid_whose_last_trial_fails_still_has_its_parent_ended(folder, command):
    """There the plugin fails too; of one trial, for the order of a grid is drawn."""
    grid = ("hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_jobs=1", "decay=choice(1.5)")
    done = command("-m", *grid, f"tracking.uri={store(folder)}", *QUICK)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *_, grids, unfinished = done.stderr.splitlines()
    assert grids.startswith("bnexp: the grid's last trial failed, and so Optuna's sweeper wrote no ")
    assert unfinished.startswith("bnexp: 1 of the sweep's jobs did not finish: decay=1.5")
    parent, (child,) = parent_and_children(folder)
    assert (parent.info.status, child.info.status) == ("FAILED", "FAILED")
    assert parent.data.tags["bnexp.error"] == f"1 of 1 jobs did not finish: {child.info.run_name}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "number"), [(JOBLIB, signal.SIGTERM), (RAY, signal.SIGINT)], ids=["joblib-SIGTERM", "ray-SIGINT"]
)
def test_a_killed_sweep_leaves_no_run_running_and_no_process(folder, launcher, number):
    """Whatever the launcher: joblib's lead is told to end, and its workers end with it; Ray has signals of its own."""
    line = [sys.executable, "-m", "bnexp", "-m", *launcher, f"tracking.uri={store(folder)}", *QUICK[:-1]]
    line += ["steps=2000000", "seed=0,1,2"]
    with (folder / "err").open("wb") as file:
        lead = subprocess.Popen(line, cwd=folder, stderr=file, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 240
        while len(training := _training(folder)) < 2:
            assert lead.poll() is None, (folder / "err").read_text()
            assert time.monotonic() < deadline, training
            time.sleep(0.5)
        lead.send_signal(number)
        assert lead.wait(120) == 128 + number
        assert f"bnexp: stopped by {number.name}. " in (folder / "err").read_text()
        for _ in range(100):
            try:
                os.killpg(lead.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.2)
        else:
            pytest.fail("a process of the sweep is still there")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(lead.pid, signal.SIGKILL)
        lead.wait()
    parent, children = parent_and_children(folder)
    assert {run.info.status for run in children} == {parent.info.status} == {"KILLED"}
    assert {run.info.run_id for run in training} <= {run.info.run_id for run in children}
    assert all("train/loss" in run.data.metrics for run in children if run.info.run_id in training)


def _training(folder):
    """Returns the jobs that are in the middle of their training."""
    experiment = client(folder).get_experiment_by_name("bnexp")
    found = client(folder).search_runs([experiment.experiment_id]) if experiment else []
    return [run for run in found if "train/loss" in run.data.metrics]
