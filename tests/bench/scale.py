"""How cost grows with steps, channels, layers, batch, test set and jobs; each size in a process of its own.

Costs are processor seconds, which other people's load does not change.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np

from .isolation import in_process


@dataclass(frozen=True)
class Curve:
    """Costs at several sizes.

    Attributes:
        title: what is done.
        what: the name of the size.
        unit: of the costs.
        sizes: rising.
        costs: as many.
    """

    title: str
    what: str
    unit: str
    sizes: Sequence[int]
    costs: Sequence[float]

    @property
    def exponent(self) -> float:
        """The power of the size that the costs follow between the two largest, where fixed costs weigh least."""
        (small, cheap), (large, dear) = list(zip(self.sizes, self.costs, strict=True))[-2:]
        return float(np.log(dear / cheap) / np.log(large / small))


def curves(*, shrink: int = 1) -> Iterator[Curve]:
    """Measures one curve after another.

    Args:
        shrink: leaves out that many of the largest sizes, less one.
    """
    for title, what, sizes, measure in _SERIES:
        chosen = sizes[: len(sizes) - shrink + 1]
        measured = [in_process(measure, size) for size in chosen]
        for unit in measured[0]:
            yield Curve(title, what, unit, chosen, [costs[unit] for costs in measured])


def _training(
    *, steps: int = 0, widths: str = "[32]", layers: int = 0, batch: int = 32, tests: int = 500
) -> dict[str, float]:
    from bnexp.dataset import make_dataset
    from bnexp.engine.build import build_model
    from bnexp.evaluation.evaluate import evaluate
    from bnexp.training.loop import train
    from bnexp.training.trajectory import Recorder

    from .contenders.own import compose

    random = np.random.default_rng(0)
    x = random.normal(size=[2048 + tests, 64]).astype(np.float32)
    y = random.integers(0, 10, len(x))
    dataset = make_dataset(x[:2048], y[:2048], x[2048:], y[2048:], source="drawn", num_classes=10)
    widths = str([32] * layers) if layers else widths
    clock = _Clock()
    model = build_model(compose(f"network.widths={widths}", f"batch_size={batch}"), dataset, "/CPU:0")
    costs = {"seconds to build the graph": clock()}
    count = steps or 200
    recorder = Recorder(count)
    # the loop is compiled once whatever its number of turns, and the same number makes the second training a warm one
    for unit in ("seconds to train, with compilation", "seconds to train again"):
        for snapshot in train(model, dataset, batch_size=batch, steps=count, seed=0):
            recorder.add(snapshot)
        costs[unit] = clock()
        recorder = Recorder(count)
    for unit in ("seconds to evaluate one by one, with compilation", "seconds to evaluate again"):
        evaluate(model, dataset.x_test, dataset.y_test, batch_size=1)
        costs[unit] = clock()
    return costs


def _steps(size: int) -> dict[str, float]:
    return _only(_training(steps=size), "train")


def _channels(size: int) -> dict[str, float]:
    return _only(_training(widths=f"[{size}]"), "train again")


def _layers(size: int) -> dict[str, float]:
    return _only(_training(layers=size), "graph", "train")


def _batch(size: int) -> dict[str, float]:
    return _only(_training(batch=size), "train again")


def _tests(size: int) -> dict[str, float]:
    return _only(_training(tests=size), "evaluate again")


def _jobs(size: int) -> dict[str, float]:
    """A sweep's jobs as the tracker sees them, in a store of their own, and the table on their parent run."""
    from bnexp.storage.folders import RUNS
    from bnexp.sweep.parent import Sweep
    from bnexp.tracking.tracker import Tracker

    with _empty_folder() as folder:
        uri = f"sqlite:///{folder}/runs/mlflow.db"
        make = partial(Tracker, uri=uri, experiment="bnexp", runs=RUNS)
        parent = make()
        parent.start("sweep", params={}, tags={"bnexp.sweep": "sweep"})
        sweep = Sweep(parent, uri=uri, experiment="bnexp")
        clock = _Clock()
        for number in range(size):
            with make(parent=sweep.run_id) as job:
                job.start(f"seed={number}", params={"seed": number, "decay": 0.9}, tags={"bnexp.verdict": "healthy"})
                for step in range(20):
                    job.log({"train/loss": 1 / (step + 1), "moving/bn1/mean_error": 0.1}, step=step)
                job.log({"test/accuracy": 0.9, "test/flips": 0.0})
                np.savez(folder / "trajectories.npz", **_trajectories(number))
                files = folder / "artifacts"
                files.mkdir(exist_ok=True)
                (folder / "trajectories.npz").replace(files / "trajectories.npz")
                job.artifacts(files)
        costs = {"seconds of all jobs": clock()}
        sweep.finish()
        return costs | {"seconds of the sweep's end": clock()}


def _trajectories(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    names = ("moving_mean", "moving_variance", "batch_mean", "batch_variance")
    arrays: dict[str, Any] = {f"bn1/{name}": random.random([200, 8]).astype(np.float32) for name in names}
    arrays |= {f"bn1/population_{name}": random.random([20, 8]).astype(np.float32) for name in ("mean", "variance")}
    return arrays | {"steps": np.arange(1, 201), "snapshot_steps": np.arange(10, 201, 10)}


@contextmanager
def _empty_folder() -> Iterator[Path]:
    before = Path.cwd()
    with TemporaryDirectory(prefix="bnexp-bench-") as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


class _Clock:
    """Processor seconds since it was last asked."""

    def __init__(self) -> None:
        self._last = process_time()

    def __call__(self) -> float:
        now = process_time()
        passed, self._last = now - self._last, now
        return passed


def _only(costs: dict[str, float], *words: str) -> dict[str, float]:
    return {unit: cost for unit, cost in costs.items() if any(word in unit for word in words)}


_SERIES: tuple[tuple[str, str, tuple[int, ...], Callable[[int], dict[str, float]]], ...] = (
    ("training, 32 units", "steps", (100, 1000, 10_000, 100_000), _steps),
    ("200 steps, one layer", "channels", (16, 64, 256, 1024), _channels),
    ("200 steps, 32 units a layer", "layers", (2, 8, 32), _layers),
    ("200 steps, 32 units", "batch", (2, 16, 128, 1024), _batch),
    ("evaluation one by one, 32 units", "test examples", (100, 1000, 10_000, 100_000), _tests),
    ("a sweep in the tracking store", "jobs", (1, 4, 16, 64, 256), _jobs),
)
