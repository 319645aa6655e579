"""What every test may lean on: none of the user's settings, a folder of its own to run in, a server to track to."""

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import hypothesis  # noqa: F401  (now: it takes trio's generator for garbage once a test has frozen the collector)
import pytest
from filelock import FileLock

# here and not in a fixture, so that subprocesses do not see them either
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
    os.environ.pop(name, None)
os.environ.pop("HYDRA_FULL_ERROR", None)

# as bnexp itself does, which a test may import after TensorFlow
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# building a graph makes many objects that stay; looking for garbage among them as often as Python does by default takes
# a third of the time
gc.set_threshold(100_000, 50, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with slow tests first, so that at the end no process waits long for the other's last file."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Keeps what was imported out of every look for garbage: one for each model took longer than building the model."""
    gc.collect()
    gc.freeze()
    if "tensorflow" in sys.modules and "PYTEST_XDIST_WORKER" in os.environ:
        # as many processes as cores: threads of one would only wait for those of the other
        sys.modules["tensorflow"].config.threading.set_intra_op_parallelism_threads(1)


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one for the length of the test: `runs/` goes there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has runs draw no pictures, which takes a third of a small one's time."""
    for name in ("plot_trajectories", "plot_estimators"):
        monkeypatch.setattr(f"bnexp.record.artifacts.{name}", lambda *_, **__: None)


@pytest.fixture
def command(folder: Path) -> Command:
    """Runs `python -m bnexp` with the given arguments in `folder`, as a user does, in a process of its own."""

    def run(*arguments: str, module: str = "bnexp") -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", module, *arguments]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=600, check=False)

    return run


@pytest.fixture
def bnexp(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Calls the command line in this process, which has imported everything, and returns its status and its output.

    Launchers' jobs are processes of their own all the same.
    """
    from hydra.core.global_hydra import GlobalHydra

    from bnexp import __main__ as command_line
    from bnexp.runtime.signals import SIGNALS

    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    handler_of = signal.getsignal  # a test may replace it

    def call(*arguments: str) -> tuple[int, str, str]:
        # Hydra's logging would close pytest's own handlers
        no_logging = ("hydra.job_logging.root=null", "hydra.hydra_logging.root=null")
        monkeypatch.setattr(sys, "argv", ["bnexp", *arguments, *no_logging])
        handlers = {number: handler_of(number) for number in SIGNALS}
        status: Any = 0
        capfd.readouterr()
        try:
            command_line.main()
        except SystemExit as end:
            status = end.code
        finally:
            GlobalHydra.instance().clear()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.environ.pop("HYDRA_FULL_ERROR", None)
        return status, *capfd.readouterr()

    return call


@pytest.fixture
def ray_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keeps a Ray cluster apart from one of another test process, and from the token of the user's own clusters."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with FileLock(Path(gettempdir(), "bnexp-tests-ray.lock")):
        yield


class Server:
    """A real `mlflow server` that keeps its artifacts itself; what it has outlives it."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self._port = free.getsockname()[1]
        self.uri, self.folder = f"http://127.0.0.1:{self._port}", folder
        folder.mkdir()

    def start(self) -> None:
        line = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        line += ["--backend-store-uri", f"sqlite:///{self.folder}/m.db", "--workers", "1"]
        line += ["--artifacts-destination", f"{self.folder}/a"]
        # nothing here is a job of MLflow's own; eight processes that wait for one take half a minute to start
        alone = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                line, stdout=log, stderr=log, cwd=self.folder, env=alone, start_new_session=True
            )
        for _ in range(1200):
            try:
                urlopen(f"{self.uri}/health", timeout=1).close()
                break
            except (URLError, OSError):
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)
            self._process.wait(30)


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """A server in `folder`/server that has started."""
    server = Server(folder / "server")
    server.start()
    yield server
    server.stop()
