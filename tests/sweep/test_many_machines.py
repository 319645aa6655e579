"""A sweep on a cluster, tracked to a server: a real Ray cluster of two nodes and a real `mlflow server`."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from mlflow import MlflowClient
from small import ONE_LAYER

pytest.importorskip("hydra_plugins.hydra_ray_launcher")


@pytest.fixture
def cluster(folder, ray_alone):
    """The address of a Ray cluster: two nodes of one job each, in folders of their own."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    ray = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--node-ip-address", "127.0.0.1"]
    nodes = []
    # not under `folder`: Ray keeps sockets there, whose paths must be short
    with TemporaryDirectory(prefix="ray") as scratch:
        head = ["--head", "--port", str(port), "--temp-dir", scratch, "--include-dashboard", "false"]
        head += ["--disable-usage-stats"]
        try:
            # one after the other: on a busy machine a node that registers while another does may give up
            for name, role in (("node0", head), ("node1", ["--address", address])):
                nodes.append(_start([*ray, *role, "--num-cpus", "1"], folder / name))
                _wait_for(nodes[-1], folder / name)
            yield address
        finally:
            for node in nodes:
                # polite killing takes Ray up to a minute, and there is nothing to be saved
                with suppress(ProcessLookupError):
                    os.killpg(node.pid, signal.SIGKILL)
                node.wait()


def _start(line, folder):
    folder.mkdir()
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(line, cwd=folder, stdout=log, stderr=log, start_new_session=True)


def _wait_for(node, folder):
    deadline = time.monotonic() + 240
    while "Ray runtime started" not in (log := (folder / "log").read_text()):
        assert node.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.1)


@pytest.mark.slow
def test_every_child_is_on_the_server_once(folder, server, cluster, command, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    small = ("dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4", "steps=12")
    done = command("-m", "hydra/launcher=ray_cluster", f"tracking.uri={server.uri}", *small, "seed=0,1")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr

    far = MlflowClient(tracking_uri=server.uri)
    runs = far.search_runs([far.get_experiment_by_name("bnexp").experiment_id])
    (parent,) = (run for run in runs if "bnexp.sweep" in run.data.tags)
    children = [run for run in runs if run is not parent]
    assert sorted((run.data.params["seed"], run.info.status) for run in children) == [
        ("0", "FINISHED"),
        ("1", "FINISHED"),
    ]
    for child in children:
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.info.artifact_uri.startswith("mlflow-artifacts:")
        names = {file.path for file in far.list_artifacts(child.info.run_id)}
        assert {"config.yaml", "trajectories.npz", "trajectories.png", "checkpoint"} <= names
        assert "test/accuracy" in child.data.metrics
    assert parent.info.status == "FINISHED"
    assert (parent.data.metrics["sweep/finished"], parent.data.metrics["sweep/unfinished"]) == (2, 0)
    assert {"comparison.csv", "comparison.json"} <= {file.path for file in far.list_artifacts(parent.info.run_id)}
    table = far.download_artifacts(parent.info.run_id, "comparison.csv", str(folder))
    _, row = Path(table).read_text().splitlines()  # both seeds, averaged
    assert row

    # both nodes worked, which Hydra's folders show: it makes the first where the node was started
    for name in ("node0", "node1"):
        assert (folder / name / "runs" / "hydra").is_dir()
