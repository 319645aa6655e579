"""One training for the jobs of a sweep that differ only in what becomes of its statistics.

Moving statistics never enter a right variant's training: weights, losses and batch moments are the same, bit for bit,
whatever the decay, the final pass or the evaluation. The first of such jobs trains and leaves all that on the disk, one
file a snapshot; the others give the recorded batch moments to their own variant's update ops (`Model.average`) and look
at the held-out data at the same snapshots, with the same weights. What they report is what training afresh would have
given them, and was computed by the variant.

Whatever is missing or damaged is trained, from the snapshot before: after an interruption, that is all there is to do.
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

from bnexp.checkpoint import pack, under, unpack, write_whole
from bnexp.dataset import Dataset, batch_indices
from bnexp.model import Model, Steps
from bnexp.moments import Moments
from bnexp.source import source_digest, targets
from bnexp.threads import thread_limit
from bnexp.train import Snapshot, loop_length, snapshot_steps, train, watch

# keys of the config that make no difference to a training whose statistics stand apart; `variant.decay` repeats `decay`
LEFT_OUT = ("decay", "final_pass", "eval_batch_size", "tracking", "restore", "resume", "reuse")

# and the nodes that a graph is built of
BUILT = ("network", "variant", "optimizer")


def training_key(config: Mapping[str, Any], dataset: Dataset) -> str:
    """Returns what two jobs have in common if and only if they can share a training.

    Args:
        config: resolved. The source of what it names, and bnexp's own, counts as well: it may be edited before a sweep
            is resumed.
        dataset: its training half counts, wherever it came from.
    """
    kept = {key: value for key, value in config.items() if key not in LEFT_OUT}
    # a convolution's gradient is summed in as many parts as there are threads
    kept["threads"] = thread_limit()
    kept["variant"] = {key: value for key, value in config["variant"].items() if key != "decay"}
    digest = sha256(json.dumps(kept, sort_keys=True).encode())
    digest.update(source_digest(targets([kept[key] for key in BUILT])).encode())
    for array in (dataset.x_train, dataset.y_train):
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


class SharedTraining:
    """A training on the disk.

    Args:
        folder: holds a file for each snapshot, of this training alone; None where it is not shared.
        run_id: of the run that asks for it.

    Attributes:
        trained_by: id of the run that trained, as soon as anything of another's training was used.
    """

    def __init__(self, folder: Path | None, run_id: str) -> None:
        self._folder, self._run_id = folder, run_id
        self.trained_by = ""

    def snapshots(
        self, model: Model, dataset: Dataset, *, batch_size: int, steps: int, seed: int, start: int = 0
    ) -> Generator[Snapshot, None, None]:
        """Yields what `train` yields for the same arguments; to be closed, since it keeps others from training.

        Where another process trains this very training, it waits for it.
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
                    {**part.moments, **model.average(part.moments, batch_size=batch_size, calls=calls)},
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
            kept = model.averages_apart(dataset.x_train[first], dataset.y_train[first])
            if not kept:
                locked.close()
            for snapshot in train(model, dataset, batch_size=batch_size, steps=steps, seed=seed, start=done):
                kept = kept and self._write(paths[snapshot.step], snapshot, model.weights())
                yield snapshot

    def _write(self, path: Path, snapshot: Snapshot, weights: Mapping[str, np.ndarray]) -> bool:
        """Keeps what does not depend on the moving statistics; tells whether there was room for it."""
        arrays: dict[str, Any] = {
            "trained_by": np.array(self.trained_by or self._run_id),
            "losses": snapshot.steps.losses,
            "accuracies": snapshot.steps.accuracies,
        }
        arrays |= {f"moments/{k}": v for k, v in snapshot.steps.statistics.items() if "/batch_" in k}
        arrays |= {f"mean/{layer}": moments.mean for layer, moments in snapshot.population.items()}
        arrays |= {f"variance/{layer}": moments.variance for layer, moments in snapshot.population.items()}
        arrays |= {f"percentiles/{layer}": values for layer, values in snapshot.percentiles.items()}
        arrays |= {f"weights/{name}": value for name, value in weights.items()}
        try:
            write_whole(path, pack(arrays))
        except OSError:  # a full disk is no reason to stop a training
            return False
        return True


@dataclass(frozen=True)
class _Part:
    trained_by: str
    losses: np.ndarray
    accuracies: np.ndarray
    moments: Mapping[str, np.ndarray]
    population: Mapping[str, Moments]
    percentiles: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]


def _read(path: Path) -> _Part | None:
    """Returns a snapshot's part, or None where it is missing or damaged: a zip archive holds its checksums."""
    try:
        arrays = unpack(path.read_bytes())
        means, variances = under("mean/", arrays), under("variance/", arrays)
        return _Part(
            trained_by=str(arrays["trained_by"]),
            losses=arrays["losses"],
            accuracies=arrays["accuracies"],
            moments=under("moments/", arrays),
            population={layer: Moments(mean, variances[layer]) for layer, mean in means.items()},
            percentiles=under("percentiles/", arrays),
            weights=under("weights/", arrays),
        )
    except (OSError, EOFError, KeyError, ValueError, BadZipFile):
        return None
