"""A sweep that is killed goes on where it was, and leaves nothing behind, whoever runs its jobs.

tests/kill_sweep.py kills at random, and more often.
"""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from kill_sweep import contents, runs_of, sweep
from small import ONE_LAYER, client, run_here, store
from sweeps import end_sweep, training, wait_until

from bnexp.tracking.journal import journals

# some seconds of steps that are quick, so that all the rest is quick too
SLOW = ("dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4", "optimizer=sgd", "steps=150000")
JOBS = ("seed=0,1", *SLOW)

# `python -m bnexp` with a savepoint at each snapshot, and not every two seconds
OFTEN = """
from bnexp.__main__ import main
from bnexp.training import savepoint

savepoint.SECONDS_BETWEEN = savepoint.TIMES_ITS_OWN = 0
main()
"""


@pytest.mark.slow
def test_killed_twice_it_ends_with_one_finished_run_a_job(folder, bnexp):
    """In the first training by kill -9, after a savepoint; then on joblib, whose workers end with their lead, by SIGTERM."""
    local, log, uri = folder / "runs" / "local", folder / "log", f"tracking.uri={store(folder)}"
    with log.open("wb") as file:
        line = [sys.executable, "-c", OFTEN, "-m", *JOBS, uri]
        process = subprocess.Popen(line, cwd=folder, stdout=file, stderr=file, start_new_session=True)
    wait_until(lambda: any(local.glob("*/savepoint/manifest.json")), process, folder)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert [run.info.status for runs in runs_of(folder) for run in runs] == ["RUNNING", "RUNNING"]
    (journal,) = (record for record in journals(local).values() if record.parent)

    process = sweep(folder, JOBS, uri, "resume=true", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    wait_until(lambda: len(training(folder)) == 2, process, folder)
    assert end_sweep(process, signal.SIGTERM) == 128 + signal.SIGTERM
    assert log.read_text().count("bnexp: stopped by SIGTERM. ") == 1
    (parent,), jobs = runs_of(folder)
    assert parent.info.status == "KILLED"
    assert {job.data.params["seed"]: job.info.status for job in jobs} == {"0": "KILLED", "1": "KILLED"}
    assert all("train/loss" in job.data.metrics for job in jobs)
    assert log.read_text().count("resumed after step ") == 1

    status, out, _ = bnexp("-m", *JOBS, uri, "resume=true")
    assert status == 0
    assert "resumed after step " in out
    (parent,), jobs = runs_of(folder)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["sweep/finished"] == 2
    assert {job.data.params["seed"]: job.info.status for job in jobs} == {"0": "FINISHED", "1": "FINISHED"}
    assert len(jobs) == 2
    assert journal.run_id in [job.info.run_id for job in jobs]
    assert journals(local) == {}
    names = [file.path for file in client(folder).list_artifacts(parent.info.run_id)]
    assert {"comparison.json", "comparison.csv"} <= set(names)

    # and once more there is nothing left to do
    status, out, _ = bnexp("-m", *JOBS, uri, "resume=true")
    assert status == 0
    for job in jobs:
        assert f"finished before: run {job.info.run_id}" in out
    assert [[run.info.run_id for run in runs] for runs in runs_of(folder)] == [
        [parent.info.run_id], [job.info.run_id for job in jobs]
    ]  # fmt: skip

    found = contents(folder, client(folder).get_run(journal.run_id))
    right = contents(folder, client(folder).get_run(run_here(folder, "seed=0", *SLOW).run_id))
    assert found.keys() == right.keys()
    for name, array in right.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
