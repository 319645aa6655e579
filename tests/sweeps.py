"""A sweep in processes of its own: waited for, ended, and read back from its store."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

from small import client

from bnexp.tracking.journal import RunRecord, journals

# whatever a busy machine makes of it
LONGEST_WAIT = 240


def wait_until(ready: Callable[[], Any], process: Popen[bytes], folder: Path) -> Any:
    """Returns what `ready` returns as soon as that is something; fails where the process ends before."""
    deadline = time.monotonic() + LONGEST_WAIT
    while not (found := ready()):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.1)
    return found


def training(folder: Path) -> list[RunRecord]:
    """Returns the jobs of a sweep that have begun to train and have not ended, as their journals have them."""
    found = journals(folder / "runs" / "local").items()
    return [
        record
        for path, record in found
        if record.parent and record.status == "RUNNING" and "train/loss" in (path / "metrics.jsonl").read_text()
    ]


def end_sweep(process: Popen[bytes], number: signal.Signals) -> int:
    """Tells the process that leads a sweep to end, and returns its status when all of its processes are gone."""
    try:
        process.send_signal(number)
        status = process.wait(120)
        for _ in range(200):
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return status
            time.sleep(0.1)
        raise AssertionError("a process of the sweep is still there")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def parent_and_children(folder: Path) -> tuple[Any, list[Any]]:
    """Returns a sweep's run and its jobs, as the store has them; there is nothing else in it."""
    experiment = client(folder).get_experiment_by_name("bnexp")
    found = client(folder).search_runs([experiment.experiment_id])
    (parent,) = (run for run in found if "bnexp.sweep" in run.data.tags)
    children = [run for run in found if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    return parent, children
