"""Sweeps whose jobs run in other processes: every job a child of the sweep's run, once, however it ends."""

import os
import signal

import pytest
from kill_sweep import sweep
from omegaconf import OmegaConf
from small import ONE_LAYER, client, store
from sweeps import end_sweep, parent_and_children, training, wait_until

from bnexp.runtime.threads import VARIABLES
from bnexp.sweep.launchers import share_cores

QUICK = ("dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4", "steps=12")

JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
CORES = os.cpu_count()

RAY = ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2")

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "decays"),
    [(JOBLIB, ("0.9", "1.5", "0.5")), (("hydra/launcher=submitit_local",), ("1.5", "0.5"))],
    ids=["joblib", "submitit_local"],
)
def test_every_job_is_a_child_once_and_a_failed_one_stops_no_other(launcher, decays, folder, bnexp, command):
    line = ("-m", *launcher, f"tracking.uri={store(folder)}", *QUICK, f"decay={','.join(decays)}")
    if launcher is JOBLIB:
        status, out, err = bnexp(*line)
    else:  # forks the process that leads the sweep
        done = command(*line)
        status, out, err = done.returncode, done.stdout, done.stderr
    assert status == 1
    assert "Traceback" not in err
    parent, children = parent_and_children(folder)
    assert sorted((run.data.params["decay"], run.info.status) for run in children) == sorted(
        (decay, "FAILED" if decay == "1.5" else "FINISHED") for decay in decays
    )
    # two at a time share the cores out; submitit_local starts as many as there are, and leaves that to the system
    limits = {run.data.tags["bnexp.device"].partition("; ")[2] for run in children if run.info.status == "FINISHED"}
    assert limits == ({"1 thread" if CORES < 4 else f"{CORES // 2} threads"} if launcher is JOBLIB else {""})
    (failed,) = (run for run in children if run.info.status == "FAILED")
    told = "decay must be at least 0 and less than 1, got 1.5. 0.9 suits short runs, 0.999 long ones."
    assert failed.data.tags["bnexp.error"] == told
    lost = failed.info.run_name
    assert err.splitlines()[-1] == f"bnexp: 1 of the sweep's jobs did not finish: {lost}"
    assert parent.info.status == "FAILED"
    assert parent.data.tags["bnexp.error"] == f"1 of {len(decays)} jobs did not finish: {lost}"
    finished = len(decays) - 1
    assert (parent.data.metrics["sweep/finished"], parent.data.metrics["sweep/unfinished"]) == (finished, 1)
    assert "comparison.csv" in [file.path for file in client(folder).list_artifacts(parent.info.run_id)]
    # the table, with what failed below it
    assert f"FAILED {lost}: {told}" in out


@pytest.mark.slow
def test_a_sweep_that_ctrl_c_ends_on_ray_leaves_no_run_running_and_no_process(folder, ray_alone):
    """Ray has signals of its own; joblib's workers are told to end in test_killed_sweep.py."""
    uri = f"tracking.uri={store(folder)}"
    process = sweep(folder, ("seed=0,1,2", *QUICK[:-1], "steps=2000000"), uri, *RAY)
    wait_until(lambda: len(training(folder)) == 2, process, folder)
    begun = {record.run_id for record in training(folder)}
    assert end_sweep(process, signal.SIGINT) == 128 + signal.SIGINT
    assert "bnexp: stopped by SIGINT. " in (folder / "log").read_text()
    parent, children = parent_and_children(folder)
    assert {run.info.status for run in children} == {parent.info.status} == {"KILLED"}
    assert len(begun) == 2
    assert begun <= {run.info.run_id for run in children}
    assert all("train/loss" in run.data.metrics for run in children if run.info.run_id in begun)
