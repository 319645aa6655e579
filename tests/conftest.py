"""What every test may lean on: none of the user's settings, and a folder of its own to run in."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
