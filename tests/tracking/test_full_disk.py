"""A disk with no room left: one message, no traceback of the store's, and with room again the run is ended in the store."""

import resource
import subprocess
import sys

from small import client, store

from bnexp.sync import Sync

# its trajectories are larger than a store with nothing in it
RUN = ("steps=400", "network.widths=[300]", "batch_size=10", "optimizer=sgd")


def test_a_full_disk_is_told_in_lines_and_the_run_ended_when_there_is_room(folder):
    """No file may grow beyond the store's size: writing fails as on a full disk, and needs no mount."""
    uri = store(folder)
    most = (folder / "runs" / "mlflow.db").stat().st_size

    def no_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    line = [sys.executable, "-m", "bnexp", *RUN, f"tracking.uri={uri}"]
    ended = subprocess.run(line, cwd=folder, capture_output=True, text=True, preexec_fn=no_room, check=False)
    assert ended.returncode == 1
    away, full = ended.stderr.splitlines()
    assert away.startswith(f"bnexp: tracking.uri={uri}: the store went away (")
    assert "/artifacts: cannot be written (File too large). What was written before is kept; make room" in full
    assert [run.info.status for run in client(folder).search_runs(["1"])] == ["RUNNING"]

    sync = Sync(folder / "runs", uri)
    sync.run()
    assert (sync.sent, sync.failed) == (1, 0)
    assert [run.info.status for run in client(folder).search_runs(["1"])] == ["FAILED"]
