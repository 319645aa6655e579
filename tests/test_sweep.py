"""What a sweep tells its launchers, sweepers and jobs; and one that is killed goes on where it was.

tests/kill_sweep.py kills at random, and more often; other launchers are in test_launchers.py.
"""

import os
import pickle
import signal
import time

import numpy as np
import pytest
from kill_sweep import contents, runs_of, sweep
from omegaconf import OmegaConf
from small import client, run_here, store

from bnexp.errors import UserError
from bnexp.journal import journals
from bnexp.sweep import PARENT_VARIABLE, JobFailed, LeadSweep, finish_sweep, join_sweep

JOBS = ("seed=0,1", "steps=12000")


def kill_when(process, ready, number=signal.SIGKILL):
    deadline = time.monotonic() + 300
    while not ready():
        assert process.poll() is None, "the sweep ended too soon"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, number)
    return process.wait(60)


@pytest.mark.slow
def test_killed_twice_it_ends_with_one_finished_run_a_job(folder):
    """In the first training by kill -9, after a savepoint, and in the second by SIGTERM."""
    local, log = folder / "runs" / "local", folder / "log"
    kill_when(sweep(folder, JOBS), lambda: any(local.glob("*/savepoint/manifest.json")))
    assert [run.info.status for runs in runs_of(folder) for run in runs] == ["RUNNING", "RUNNING"]
    (journal,) = (facts for facts in journals(local).values() if facts.parent)
    stopped = kill_when(sweep(folder, JOBS, "resume=true"), lambda: len(runs_of(folder)[1]) == 2, signal.SIGTERM)
    assert stopped == 128 + signal.SIGTERM
    (parent,), jobs = runs_of(folder)
    assert parent.info.status == "KILLED"
    assert {job.data.params["seed"]: job.info.status for job in jobs} == {"0": "FINISHED", "1": "KILLED"}
    assert sweep(folder, JOBS, "resume=true").wait(300) == 0

    (parent,), jobs = runs_of(folder)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["sweep/finished"] == 2
    assert {job.data.params["seed"]: job.info.status for job in jobs} == {"0": "FINISHED", "1": "FINISHED"}
    assert len(jobs) == 2
    assert journal.run_id in [job.info.run_id for job in jobs]
    assert "resumed after step " in log.read_text()
    assert f"finished before: run {journal.run_id}" in log.read_text()
    assert journals(local) == {}
    names = [file.path for file in client(folder).list_artifacts(parent.info.run_id)]
    assert {"comparison.json", "comparison.csv"} <= set(names)

    found = contents(folder, client(folder).get_run(journal.run_id))
    right = contents(folder, client(folder).get_run(run_here(folder, "seed=0", JOBS[1]).run_id))
    assert found.keys() == right.keys()
    for name, array in right.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_a_job_works_in_the_sweep_s_folder(folder, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    join_sweep(str(folder), "http://127.0.0.1:5000")
    assert os.getcwd() == str(folder)


def test_on_a_machine_without_that_folder_it_stays_where_it_is(folder):
    join_sweep("/nowhere/at/all", "http://127.0.0.1:5000")
    assert os.getcwd() == str(folder)


def test_a_store_that_is_a_file_elsewhere_is_refused(folder, monkeypatch):
    """MLflow would make an empty one, and the run would never be seen again."""
    monkeypatch.setenv(PARENT_VARIABLE, "1234")
    with pytest.raises(UserError) as caught:
        join_sweep("/nowhere/at/all", "sqlite:///runs/mlflow.db")
    assert str(caught.value).startswith(
        "tracking.uri=sqlite:///runs/mlflow.db: must be a store that every machine of the sweep reaches, and "
    )
    assert str(caught.value).endswith("Start mlflow server, and give tracking.uri=http://HOST:5000.")
    store(folder)
    join_sweep(str(folder), "sqlite:///runs/mlflow.db")


def test_a_failed_job_is_told_across_processes():
    assert str(pickle.loads(pickle.dumps(JobFailed("decay must be ...")))) == "decay must be ..."


@pytest.mark.parametrize(
    ("given", "direction", "rate"),
    [
        ([], "maximize", 1.0),
        (["hydra.sweeper.direction=minimize"], "minimize", 1.0),
        (["++hydra.sweeper.max_failure_rate=0.5"], "maximize", 0.5),
    ],
)
def test_a_search_maximises_unless_told_otherwise(folder, monkeypatch, given, direction, rate):
    config = OmegaConf.create(
        {
            "resume": False,
            "tracking": {"uri": store(folder), "experiment": "e"},
            "hydra": {
                "overrides": {"task": [], "hydra": given},
                "launcher": {"_target_": "x.BasicLauncher"},
                "sweep": {"dir": "runs/x"},
                "sweeper": {"direction": "minimize", "max_failure_rate": 0.5 if rate == 0.5 else 0.0},
            },
        }
    )
    OmegaConf.set_readonly(config, True)
    monkeypatch.setattr("bnexp.sweep._leading", [])
    LeadSweep().on_multirun_start(config)
    assert (config.hydra.sweeper.direction, config.hydra.sweeper.max_failure_rate) == (direction, rate)
    assert config.hydra.overrides.hydra[-1].startswith(f"++hydra.job.env_set.{PARENT_VARIABLE}=")
    finish_sweep()


def test_a_sweeper_that_searches_nothing_is_left_alone(folder, monkeypatch):
    config = OmegaConf.create(
        {
            "resume": False,
            "tracking": {"uri": store(folder), "experiment": "e"},
            "hydra": {
                "overrides": {"task": [], "hydra": []},
                "launcher": {"_target_": "x.BasicLauncher"},
                "sweep": {"dir": "runs/x"},
                "sweeper": {"max_batch_size": None},
            },
        }
    )
    monkeypatch.setattr("bnexp.sweep._leading", [])
    LeadSweep().on_multirun_start(config)
    assert config.hydra.sweeper == {"max_batch_size": None}
    finish_sweep()
