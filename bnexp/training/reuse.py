"""Shares one training among the jobs of a sweep that differ only in decay, final pass or evaluation.

The training of a right variant never reads its moving statistics: weights, losses and batch moments are the same, bit
for bit, whatever the decay, the final pass or the evaluation. The first of such jobs trains and writes a file for each
snapshot; the others feed the recorded batch moments to their own variant's update ops (`Model.average`), assign the
recorded weights at each snapshot, and evaluate. They report the same as if they had trained themselves.

Snapshots that are missing or damaged are trained, from the last one before them. After an interruption the same
happens.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any
from zipfile import BadZipFile

import numpy as np
from filelock import FileLock

from bnexp.config.settings import Settings
from bnexp.dataset import Dataset, batch_indices
from bnexp.engine.model import Model, Steps
from bnexp.runtime.threads import thread_limit
from bnexp.statistics.layer_statistics import LayerStatistics, from_arrays, to_arrays
from bnexp.statistics.moments import Moments
from bnexp.storage.arrays import pack, prefixed, under, unpack, write_whole
from bnexp.training.code_digest import source_digest, targets
from bnexp.training.loop import Snapshot, loop_length, snapshot_steps, train, watch

# settings that do not affect a training whose updates are separable; `variant.decay`, which repeats `decay`, is another
LEFT_OUT = ("decay", "final_pass", "eval_batch_size", "tracking", "restore", "resume", "reuse", "verbose")

# the settings that name code from which the graph is built
BUILT = ("network", "variant", "optimizer")


def training_key(settings: Settings, dataset: Dataset) -> str:
    """Returns a key that is the same for two jobs if and only if they can share a training.

    Args:
        settings: the settings of the run. The source of the code that they name, and of bnexp, is part of the key,
            since it may be edited before a sweep is resumed.
        dataset: the dataset; the content of its training set is part of the key.

    Example:
        >>> training_key(settings, dataset) == training_key(replace(settings, decay=0.5), dataset)
        True
    """
    kept = {key: value for key, value in settings.as_dict().items() if key not in LEFT_OUT}
    # the gradient of a convolution is summed in as many parts as there are threads, which affects its rounding
    kept["threads"] = thread_limit()
    kept["variant"] = {key: value for key, value in settings.variant.items() if key != "decay"}
    digest = sha256(json.dumps(kept, sort_keys=True).encode())
    digest.update(source_digest(targets([kept[key] for key in BUILT])).encode())
    for array in (dataset.x_train, dataset.y_train):
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


class SharedTraining:
    """A training whose snapshots are kept on the disk for the other jobs of a sweep.

    Args:
        folder: the folder with a file for each snapshot of this training; None if the training is not shared.
        run_id: the id of the run that needs the training; it is written to the files that the run makes.

    Attributes:
        trained_by: the id of the run that did the training, once a file of another run has been used; empty until then.

    Example:
        >>> shared = SharedTraining(folder, run_id)
        >>> with closing(shared.snapshots(model, dataset, batch_size=60, steps=4, seed=0)) as snapshots:
        ...     steps = [snapshot.step for snapshot in snapshots]
    """

    def __init__(self, folder: Path | None, run_id: str) -> None:
        self._folder, self._run_id = folder, run_id
        self.trained_by = ""

    def snapshots(
        self, model: Model, dataset: Dataset, *, batch_size: int, steps: int, seed: int, start: int = 0
    ) -> Generator[Snapshot, None, None]:
        """Yields the same snapshots as `train` for the same arguments, from the disk where they are there.

        If another process is doing this training, it waits for that one. The generator holds a lock meanwhile and must
        be closed.

        Args:
            model: the model to train, changed in place.
            dataset: the dataset whose training set is read; some test examples are predicted at each snapshot.
            batch_size: the number of examples in a training batch.
            steps: the number of steps of the whole training.
            seed: decides the order of the examples.
            start: the number of steps done before, 0 or one of `snapshot_steps`.
        """
        if self._folder is None:
            yield from train(model, dataset, batch_size=batch_size, steps=steps, seed=seed, start=start)
            return
        marks = [mark for mark in snapshot_steps(model, steps) if mark > start]
        self._folder.mkdir(parents=True, exist_ok=True)
        paths = {mark: self._folder / f"{mark}.npz" for mark in marks}
        with ExitStack() as locked:
            locked.enter_context(FileLock(self._folder / ".lock"))
            if all(path.exists() for path in paths.values()):
                locked.close()
            done, calls = start, loop_length(model, steps)
            for mark in marks:
                started = perf_counter()
                part = _read(paths[mark])
                if part is None:
                    break
                steps_of_part = Steps(
                    part.losses,
                    part.accuracies,
                    model.average(part.layers, batch_size=batch_size, calls=calls),
                )
                model.assign(part.weights)
                seconds = perf_counter() - started
                self.trained_by = self.trained_by or part.trained_by
                monitored = watch(model, dataset)
                yield Snapshot(mark, steps_of_part, part.population, monitored, part.percentiles, seconds)
                done = mark
            if done == steps:
                return
            first = batch_indices(len(dataset.x_train), batch_size, start=done, stop=done + 1, seed=seed)[0]
            separable = model.updates_are_separable(dataset.x_train[first], dataset.y_train[first])
            if not separable:
                locked.close()
            for snapshot in train(model, dataset, batch_size=batch_size, steps=steps, seed=seed, start=done):
                separable = separable and self._write(paths[snapshot.step], snapshot, model.weights())
                yield snapshot

    def _write(self, path: Path, snapshot: Snapshot, weights: Mapping[str, np.ndarray]) -> bool:
        """Writes the part of a snapshot that does not depend on the moving statistics; tells whether it succeeded."""
        arrays: dict[str, Any] = {
            "trained_by": np.array(self.trained_by or self._run_id),
            "losses": snapshot.steps.losses,
            "accuracies": snapshot.steps.accuracies,
        }
        batches = {
            layer: LayerStatistics(recorded.batch_mean, recorded.batch_variance)
            for layer, recorded in snapshot.steps.layers.items()
        }
        arrays |= prefixed("layers/", to_arrays(batches)) | prefixed("weights/", weights)
        arrays |= prefixed("percentiles/", snapshot.percentiles)
        arrays |= {f"mean/{layer}": moments.mean for layer, moments in snapshot.population.items()}
        arrays |= {f"variance/{layer}": moments.variance for layer, moments in snapshot.population.items()}
        try:
            write_whole(path, pack(arrays))
        except OSError:  # a full disk must not stop the training; it is then not shared from here on
            return False
        return True


@dataclass(frozen=True)
class _Part:
    trained_by: str
    losses: np.ndarray
    accuracies: np.ndarray
    layers: Mapping[str, LayerStatistics]
    population: Mapping[str, Moments]
    percentiles: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]


def _read(path: Path) -> _Part | None:
    """Returns what a snapshot's file holds; None if it is missing or damaged, which a zip archive's checksums show."""
    try:
        arrays = unpack(path.read_bytes())
        means, variances = under("mean/", arrays), under("variance/", arrays)
        return _Part(
            trained_by=str(arrays["trained_by"]),
            losses=arrays["losses"],
            accuracies=arrays["accuracies"],
            layers=from_arrays(under("layers/", arrays)),
            population={layer: Moments(mean, variances[layer]) for layer, mean in means.items()},
            percentiles=under("percentiles/", arrays),
            weights=under("weights/", arrays),
        )
    except (OSError, EOFError, KeyError, ValueError, BadZipFile):
        return None
