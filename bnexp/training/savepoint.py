"""A training's records so far, and the savepoint from which an interrupted training continues, bit for bit the same.

A training step depends only on the variables, the seed and the step's number. The variables and the records so far are
therefore the whole state.
"""

import time
from pathlib import Path

from bnexp.engine.model import Model
from bnexp.storage.arrays import MANIFEST, DamagedError, load_arrays, prefixed, save_arrays, under
from bnexp.storage.folders import refusals_told
from bnexp.training.averages import AveragesByDecay
from bnexp.training.loop import Snapshot
from bnexp.training.trajectory import Recorder

# seconds before the first savepoint and at least between two; and how many times its own duration a savepoint waits for
# the next, so that savepoints take at most a twentieth of the time
SECONDS_BETWEEN, TIMES_ITS_OWN = 2.0, 20


class Training:
    """Collects a training's snapshots, and regularly saves the whole state to the disk.

    Args:
        model: the model that is trained.
        steps: the number of steps of the whole training.
        batch_size: the number of examples in a training batch.
        folder: the folder for the savepoint, a file `step-<step>.npz` and a manifest with its name and SHA-256. The
            manifest is written last, so that the new savepoint or the one before is whole if the process is killed.
            None saves nothing.

    Attributes:
        recorder: collects the statistics of the steps.
        averages: averages the batch moments of all steps with several decays.
        step: the number of training steps done.
        seconds: the wall-clock time of these steps.

    Example:
        >>> training = Training(model, steps=4, batch_size=60, folder=None)
        >>> for snapshot in train(model, dataset, batch_size=60, steps=4, seed=0):
        ...     training.add(snapshot)
        >>> training.step
        4
    """

    def __init__(self, model: Model, *, steps: int, batch_size: int, folder: Path | None) -> None:
        self.recorder, self.averages = Recorder(steps), AveragesByDecay(model.positions, batch_size)
        self.step, self.seconds = 0, 0.0
        self._model, self._folder = model, folder
        self._next = time.monotonic() + SECONDS_BETWEEN

    def add(self, snapshot: Snapshot) -> None:
        """Collects the next snapshot."""
        self.recorder.add(snapshot)
        self.averages.add(snapshot.steps)
        self.step, self.seconds = snapshot.step, self.seconds + snapshot.seconds

    def save(self) -> None:
        """Writes a savepoint, unless the last one is recent; `SECONDS_BETWEEN` and `TIMES_ITS_OWN` say how recent.

        Raises:
            UserError: the disk does not accept it; the savepoint before is kept.
        """
        started = time.monotonic()
        if self._folder is None or started < self._next:
            return
        path = self._folder / f"step-{self.step}.npz"
        arrays = (
            prefixed("variables/", self._model.state())
            | prefixed("recorder/", self.recorder.state())
            | prefixed("averages/", self.averages.state())
        )
        with refusals_told(self._folder):
            save_arrays(path, arrays, step=self.step, seconds=self.seconds)
        for other in self._folder.glob("step-*.npz"):
            if other != path:
                other.unlink()
        now = time.monotonic()
        self._next = now + max(SECONDS_BETWEEN, TIMES_ITS_OWN * (now - started))

    def load(self) -> None:
        """Restores the model and the records from the savepoint, if there is one.

        Raises:
            DamagedError: a file is missing, truncated, changed, or was written by an incompatible version of bnexp. The
                message names it; the model and the records are left as they were.
        """
        if self._folder is None or not (self._folder / MANIFEST).is_file():
            return
        arrays, manifest = load_arrays(self._folder)
        if {name.partition("/")[0] for name in arrays} != {"variables", "recorder", "averages"}:
            raise DamagedError(f"{self._folder / manifest['file']} is of another bnexp")
        self._model.assign(under("variables/", arrays))
        self.recorder.restore(under("recorder/", arrays))
        self.averages.restore(under("averages/", arrays))
        self.step, self.seconds = int(manifest["step"]), float(manifest["seconds"])
