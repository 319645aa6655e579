"""Sweeps that Optuna leads: what it is told to look for, and what becomes of trials that fail."""

import logging

import pytest
import yaml
from small import ONE_LAYER, store
from sweeps import parent_and_children

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # when Optuna 2 is imported

QUICK = ("dataset=digits", ONE_LAYER["mlp"])


@pytest.fixture(autouse=True)
def _no_handler():
    """Has Optuna not log to the standard error that an earlier test had."""
    yield
    logging.getLogger("optuna").handlers.clear()


@pytest.mark.slow
def test_a_search_maximises_the_headline_and_survives_a_failed_trial(folder, bnexp):
    """Few steps against many: the accuracy differs, and Optuna's own direction would choose the worse."""
    # not its grid: where the last trial of a grid fails, the plugin itself does
    search = ("hydra/sweeper=optuna", "hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=1")  # draws 1, 0, 60
    search += ("hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1", "steps=choice(0,1,60)", "hydra.sweep.dir=sweep")
    status, _, err = bnexp("-m", *search, f"tracking.uri={store(folder)}", *QUICK, "batch_size=64")
    assert status == 1
    assert "Traceback" not in err
    parent, children = parent_and_children(folder)
    assert sorted((run.data.params["steps"], run.info.status) for run in children) == [
        ("0", "FAILED"),
        ("1", "FINISHED"),
        ("60", "FINISHED"),
    ]
    accuracies = {
        run.data.params["steps"]: run.data.metrics["test/accuracy"] for run in children if run.info.status == "FINISHED"
    }
    assert accuracies["1"] < accuracies["60"]
    assert yaml.safe_load((folder / "sweep" / "optimization_results.yaml").read_text()) == {
        "name": "optuna",
        "best_params": {"steps": 60},
        "best_value": accuracies["60"],
    }
    (best,) = (run for run in children if run.data.params["steps"] == "60")
    assert parent.data.metrics["sweep/best_accuracy"] == accuracies["60"]
    assert parent.data.tags["bnexp.sweep.best"] == best.info.run_name
    assert parent.data.tags["bnexp.sweep.best_run"] == best.info.run_id


def test_a_grid_whose_last_trial_fails_still_has_its_parent_ended(folder, bnexp):
    """There the plugin fails too; of one trial, for the order of a grid is drawn."""
    grid = ("hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "hydra.sweeper.n_jobs=1", "decay=choice(1.5)")
    status, _, err = bnexp("-m", *grid, f"tracking.uri={store(folder)}", *QUICK)
    assert status == 1
    assert "Traceback" not in err
    *_, grids, unfinished = err.splitlines()
    assert grids.startswith("bnexp: the grid's last trial failed, and so Optuna's sweeper wrote no ")
    assert unfinished.startswith("bnexp: 1 of the sweep's jobs did not finish: decay=1.5")
    parent, (child,) = parent_and_children(folder)
    assert (parent.info.status, child.info.status) == ("FAILED", "FAILED")
    assert parent.data.tags["bnexp.error"] == f"1 of 1 jobs did not finish: {child.info.run_name}"
