"""What a sweep tells its launchers, sweepers and jobs."""

import os
import pickle

import pytest
from omegaconf import OmegaConf
from small import store

from bnexp.cli.callbacks import LeadSweep
from bnexp.errors import UserError
from bnexp.names import JOBS_VARIABLE, PARENT_VARIABLE
from bnexp.sweep.parent import JobFailed, finish_sweep, join_sweep


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
                "sweeper": {
                    "_target_": "x.OptunaSweeper",
                    "direction": "minimize",
                    "max_failure_rate": 0.5 if rate == 0.5 else 0.0,
                },
            },
        }
    )
    OmegaConf.set_readonly(config, True)
    monkeypatch.setattr("bnexp.sweep.parent._leading", [])
    LeadSweep().on_multirun_start(config)
    assert (config.hydra.sweeper.direction, config.hydra.sweeper.max_failure_rate) == (direction, rate)
    told = dict(override.split("=", 1) for override in config.hydra.overrides.hydra[len(given) :])
    assert set(told) == {f"++hydra.job.env_set.{name}" for name in (PARENT_VARIABLE, JOBS_VARIABLE)}
    assert len(told[f"++hydra.job.env_set.{PARENT_VARIABLE}"]) == 32
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
                "sweeper": {"_target_": "x.Sweeper", "max_batch_size": None},
            },
        }
    )
    monkeypatch.setattr("bnexp.sweep.parent._leading", [])
    LeadSweep().on_multirun_start(config)
    assert config.hydra.sweeper == {"_target_": "x.Sweeper", "max_batch_size": None}
    finish_sweep()
