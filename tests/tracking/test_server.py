"""A real `mlflow server`: what it is given, and what it gets later of what it did not see."""

import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from omegaconf import OmegaConf
from small import run_here, save_images

from bnexp import sync
from bnexp.record.progress import log_snapshot
from bnexp.storage.checkpoint import load_checkpoint
from bnexp.sweep.parent import Sweep
from bnexp.tracking.journal import journals
from bnexp.tracking.tracker import Tracker


def runs_of(far, experiment):
    found = far.search_runs([far.get_experiment_by_name(experiment).experiment_id])
    return {run.info.run_id: run for run in found}


def names_of(far, run_id):
    return {file.path for file in far.list_artifacts(run_id)}


def checkpoint_of(far, run_id, folder):
    (folder / run_id).mkdir()
    far.download_artifacts(run_id, "checkpoint", str(folder / run_id))
    return load_checkpoint(folder / run_id / "checkpoint")


def assert_same_arrays(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.slow
def test_a_real_server_over_http(folder, server, command, monkeypatch, capsys):
    """A run and its restoring; then the server is killed in a run and between two jobs of a sweep, and comes back."""
    # a server that is gone is not waited for
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    data = ("dataset=npz", f"dataset.path={save_images(folder)}")
    small = (*data, "network.widths=[6,5]", "batch_size=10", "steps=30")
    far = MlflowClient(tracking_uri=server.uri)

    first = run_on_the_server(folder, server, far, small, capsys)
    restored_by_a_new_process(folder, server, far, first, command)
    sweep = Sweep.start(sweep_config(server.uri))
    run_a_job(folder, server.uri, sweep, seed=0)
    later = run_that_sees_the_server_killed(folder, server, small, monkeypatch, capsys)
    run_a_job(folder, server.uri, sweep, seed=1)
    assert sweep.finish() == []

    # a new server on the same files gets all of it, once
    server.stop()
    server.start()
    synced = subprocess.run(
        [sys.executable, "-m", "bnexp.sync"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert (synced.returncode, synced.stderr) == (0, "")
    assert "sweep seed=0,1: table of its jobs updated, 0 did not finish\n" in synced.stdout
    assert journals(folder / "runs" / "local") == {}
    assert_sent(far, first, later)
    assert_table_made_anew(far, sweep, folder)
    before = set(runs_of(far, "bnexp")), set(runs_of(far, "e"))
    monkeypatch.setattr(sys, "argv", ["bnexp.sync"])
    sync.main()
    assert capsys.readouterr().out.endswith("0 sent, 0 still running, 0 not sent\n")
    assert (set(runs_of(far, "bnexp")), set(runs_of(far, "e"))) == before


def run_on_the_server(folder, server, far, small, capsys):
    """Every file goes through the server, none beside it."""
    result = run_here(folder, *small, uri=server.uri)
    out, err = capsys.readouterr()
    ((run_id, run),) = runs_of(far, "bnexp").items()
    assert run_id == result.run_id
    assert f"{server.uri}/#/experiments/{run.info.experiment_id}/runs/{run_id}" in out
    assert "bnexp" not in err
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert {"test/accuracy", "train/loss"} <= set(run.data.metrics)
    assert {"config.yaml", "trajectories.npz", "trajectories.png", "checkpoint"} <= names_of(far, run_id)
    assert not (folder / "runs" / "artifacts").exists()
    assert list((folder / "server" / "a").rglob("variables.npz"))
    return run


def restored_by_a_new_process(folder, server, far, first, command):
    """It starts from the same bits, and prints nothing but the device and the report, whatever the libraries tell."""
    run_id = first.info.run_id
    done = command(f"restore={run_id}", "final_pass=layerwise", f"tracking.uri={server.uri}")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    device, title, *_ = done.stdout.splitlines()
    assert device.startswith(("CPU", "GPU"))
    assert title == "npz, mlp, update_ops, layerwise, adam, decay 0.9"
    (restored,) = (r for r in runs_of(far, "bnexp").values() if r.data.tags.get("bnexp.restored_from") == run_id)
    assert restored.info.status == "FINISHED"
    # what the new process met before its pass is what the first one left, to the last bit
    kept, found = checkpoint_of(far, run_id, folder), checkpoint_of(far, restored.info.run_id, folder)
    statistics = {f"bn{n}/moving_{moment}" for n in (1, 2) for moment in ("mean", "variance")}
    assert set(found.last_averages) == statistics
    assert_same_arrays(found.last_averages, {name: kept.variables[name] for name in statistics})
    assert_same_arrays(
        {name: value for name, value in found.variables.items() if name not in statistics},
        {name: value for name, value in kept.variables.items() if name not in statistics},
    )
    metrics, before = restored.data.metrics, first.data.metrics
    assert metrics["test/accuracy_before_final_pass"] == before["test/accuracy"]
    assert metrics["final_pass/bn2/residual_variance"] < 1e-4 < before["final_pass/bn2/residual_variance"]
    assert "train/loss" not in metrics
    assert restored.data.params["final_pass"] == "layerwise"
    assert restored.data.params["network.widths"] == "[6, 5]"
    assert restored.data.params["restore"] == run_id


def sweep_config(uri):
    return OmegaConf.create(
        {
            "resume": False,
            "tracking": {"uri": uri, "experiment": "e"},
            "hydra": {
                "overrides": {"task": ["seed=0,1"]},
                "launcher": {"_target_": "x.BasicLauncher"},
                "sweep": {"dir": "runs/x"},
            },
        }
    )


def run_a_job(folder, uri, sweep, *, seed):
    with Tracker(uri=uri, experiment="e", runs=folder / "runs", parent=sweep.run_id) as job:
        job.start(f"seed={seed}", params={"seed": str(seed)}, tags={})
        job.log({"test/accuracy": 0.5 + seed / 4})


def run_that_sees_the_server_killed(folder, server, small, monkeypatch, capsys):
    """The server is gone for good in the middle of the training; the run finishes, and is told to be kept here."""

    def then_kill(tracker, model, snapshot, *, steps):
        log_snapshot(tracker, model, snapshot, steps=steps)
        tracker.flush()
        if snapshot.step == 15:
            os.killpg(server._process.pid, signal.SIGKILL)
            server._process.wait()

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr("bnexp.record.progress.log_snapshot", then_kill)
        result = run_here(folder, *small, uri=server.uri)
    out, err = capsys.readouterr()
    (said,) = [line for line in err.splitlines() if line.startswith("bnexp: ")]
    assert "the store went away" in said
    assert out.splitlines()[-1] == "python -m bnexp.sync"
    return result


def assert_sent(far, first, later):
    runs = runs_of(far, "bnexp")
    assert len(runs) == 3
    run = runs[later.run_id]
    assert run.info.run_id != first.info.run_id
    assert (run.info.status, run.data.params) == ("FINISHED", first.data.params)
    assert run.data.tags["bnexp.verdict"] == first.data.tags["bnexp.verdict"]
    assert run.data.metrics.keys() == first.data.metrics.keys()
    for key in first.data.metrics:
        if not key.endswith("seconds"):
            points = [
                [(metric.step, metric.value) for metric in far.get_metric_history(one.info.run_id, key)]
                for one in (run, first)
            ]
            assert points[0] == points[1], key
    assert names_of(far, run.info.run_id) == names_of(far, first.info.run_id)


def assert_table_made_anew(far, sweep, folder):
    runs = runs_of(far, "e")
    parent = runs[sweep.run_id]
    assert {run.info.run_name: run.info.status for run in runs.values()} == {
        "sweep seed=0,1": "FINISHED",
        "seed=0": "FINISHED",
        "seed=1": "FINISHED",
    }
    assert len(runs) == 3
    assert (parent.data.metrics["sweep/finished"], parent.data.metrics["sweep/unfinished"]) == (2, 0)
    assert parent.data.tags["bnexp.sweep.best"] == "seed=1"
    table = far.download_artifacts(parent.info.run_id, "comparison.csv", str(folder))
    (row,) = pd.read_csv(table).to_dict("records")  # both seeds, averaged
    assert (row["accuracy"], row["n"]) == (0.625, 2)
