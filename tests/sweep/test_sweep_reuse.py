"""Which sweeps share trainings, and a sweep that does: the same figures as without, one training."""

import numpy as np
import pytest
from small import artifacts, client, run_here, store

from bnexp.names import SHARED_VARIABLE
from bnexp.sweep.reuse import shares


@pytest.mark.parametrize(
    "overrides",
    [
        ["decay=0.9,0.99"],
        ["variant.decay=0.9,0.99"],
        ["final_pass=none,paper"],
        ["final_pass=glob(*)"],
        ["eval_batch_size=range(1,4)"],
        ["tracking.experiment=a,b"],
        ["network=cnn", "seed=0,1", "decay=choice(0.1,0.2)"],
    ],
)
def test_sweeps_with_jobs_that_train_alike(overrides):
    assert shares(overrides)


@pytest.mark.parametrize("overrides", [[], ["seed=0,1"], ["decay=0.9", "seed=0,1"], ["network.widths=[1,2],[3]"]])
def test_sweeps_without(overrides):
    assert not shares(overrides)


SMALL = ("network.widths=[5]", "steps=8", "dataset=gaussian", "variant=test_set_leak")


def finished(folder, run_id):
    run = client(folder).get_run(run_id)
    metrics = {key: value for key, value in run.data.metrics.items() if not key.endswith("/seconds")}
    with np.load(artifacts(folder, run_id) / "trajectories.npz") as file:
        arrays = dict(file)
    return run.data.tags, metrics, arrays


@pytest.mark.slow
def test_a_job_that_shares_reports_what_its_own_training_would_have(folder, undrawn, monkeypatch):
    monkeypatch.setenv(SHARED_VARIABLE, "runs/shared/sweep")
    first = run_here(folder, *SMALL, sweep=True).run_id
    second = run_here(folder, *SMALL, "decay=0.5", "final_pass=layerwise", sweep=True).run_id
    alone = run_here(folder, *SMALL, "decay=0.5", "final_pass=layerwise", "reuse=false", sweep=True).run_id
    tags, metrics, arrays = finished(folder, second)
    afresh_tags, afresh_metrics, afresh_arrays = finished(folder, alone)
    assert tags["bnexp.shared_training_with"] == first
    assert "bnexp.shared_training_with" not in afresh_tags
    assert metrics == afresh_metrics
    assert tags["bnexp.verdict"] == afresh_tags["bnexp.verdict"]
    assert list(arrays) == list(afresh_arrays)
    for name, array in afresh_arrays.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)


@pytest.mark.slow
def test_a_sweep_trains_once_and_leaves_nothing_behind(folder, bnexp, undrawn, monkeypatch):
    last = []
    monkeypatch.setattr("bnexp.sweep.reuse.atexit.register", lambda *call, **words: last.append((call, words)))
    same = ("network.widths=[5]", "steps=4", "dataset=gaussian", f"tracking.uri={store(folder)}")
    status, out, err = bnexp("-m", "decay=0.9,0.5", "final_pass=none,paper", *same)
    assert (status, err) == (0, "")
    assert out.count("shares the training of run") == 3
    (kept,) = (folder / "runs" / "shared").iterdir()
    assert list(kept.rglob("*.npz"))
    # as the process ends
    (((remove, *rest), words),) = last
    remove(*rest, **words)
    assert not list((folder / "runs" / "shared").iterdir())
