"""What every test may lean on: none of the user's settings, a folder of its own to run in, a server to track to."""

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
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from filelock import FileLock

# here and not in a fixture, so that subprocesses do not see them either
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
    os.environ.pop(name, None)
os.environ.pop("HYDRA_FULL_ERROR", None)

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one for the length of the test: `runs/` goes there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(folder: Path) -> Command:
    """Runs `python -m bnexp` with the given arguments in `folder`, as a user does, in a process of its own."""

    def run(*arguments: str, module: str = "bnexp") -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", module, *arguments]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=600, check=False)

    return run


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
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(line, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        for _ in range(240):
            try:
                urlopen(f"{self.uri}/health", timeout=1).close()
                break
            except (URLError, OSError):
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.5)

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
