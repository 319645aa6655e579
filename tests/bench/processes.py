"""What only whole processes show: start-up, a default run, sweeps, memory."""

import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

BNEXP = ("-m", "bnexp")


@dataclass(frozen=True)
class Process:
    """A finished process.

    Attributes:
        seconds: from start to end.
        cpu: seconds of processor time.
        peak: bytes of memory at most.
        training: seconds of each of its runs, as they were logged.
    """

    seconds: float
    cpu: float
    peak: int
    training: list[float]


def python(*arguments: str) -> Process:
    """Runs Python in an empty folder, to its end.

    Raises:
        RuntimeError: it failed.
    """
    with TemporaryDirectory(prefix="bnexp-bench-") as folder:
        started = perf_counter()
        with Path(folder, "output").open("w") as output:
            process = subprocess.Popen([sys.executable, *arguments], cwd=folder, stdout=output, stderr=output)
            _, status, used = os.wait4(process.pid, 0)
        seconds = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"python {' '.join(arguments)} failed:\n{Path(folder, 'output').read_text()[-3000:]}")
        return Process(seconds, used.ru_utime + used.ru_stime, _bytes(used), _training(Path(folder, "runs/mlflow.db")))


def _bytes(used: resource.struct_rusage) -> int:
    # Linux counts in KiB, macOS in bytes
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _training(store: Path) -> list[float]:
    if not store.exists():
        return []
    with closing(sqlite3.connect(store)) as connection:
        return [
            value for (value,) in connection.execute("select value from latest_metrics where key = 'train/seconds'")
        ]


HOLDS_MNIST = """
import sys
import numpy as np, tensorflow as tf
with np.load(sys.argv[1]) as arrays:
    data = [arrays[name].astype(np.float32) / 255 for name in ("x_train", "x_test")]
    data += [arrays[name].astype(np.int32) for name in ("y_train", "y_test")]
print(sum(array.nbytes for array in data))
"""
