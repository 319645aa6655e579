"""A sweep that is killed goes on where it was; tests/kill_sweep.py does the same at random, and more often."""

import os
import signal
import time

import numpy as np
import pytest
from kill_sweep import contents, runs_of, sweep
from small import client, run_here

from bnexp.journal import journals

JOBS = ("seed=0,1", "steps=12000")


def kill_when(process, ready):
    deadline = time.monotonic() + 300
    while not ready():
        assert process.poll() is None, "the sweep ended too soon"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)


@pytest.mark.slow
def test_killed_twice_it_ends_with_one_finished_run_a_job(folder):
    """In the first training, after a savepoint, and in the second."""
    local, log = folder / "runs" / "local", folder / "log"
    kill_when(sweep(folder, JOBS), lambda: any(local.glob("*/savepoint/manifest.json")))
    assert [run.info.status for runs in runs_of(folder) for run in runs] == ["RUNNING", "RUNNING"]
    (journal,) = (facts for facts in journals(local).values() if facts.parent)
    kill_when(sweep(folder, JOBS, "resume=true"), lambda: "#1 : " in log.read_text())
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
