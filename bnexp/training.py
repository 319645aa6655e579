"""What a training has given so far, and the savepoint from which an interrupted one goes on to the same bits.

What a step does depends on the variables, on the seed and on the step's number, on nothing else: these and what was
recorded until then are the whole state.
"""

import json
import time
from hashlib import sha256
from pathlib import Path

from bnexp.checkpoint import MANIFEST, pack, under, unpack, write_whole
from bnexp.errors import first_line
from bnexp.ladder import Ladder
from bnexp.model import Model
from bnexp.train import Snapshot
from bnexp.trajectory import Recorder

# a savepoint takes at most a twentieth of the time, and of a training shorter than this there is none
SECONDS_BETWEEN, TIMES_ITS_OWN = 2.0, 20


class Training:
    """Collects a training's snapshots, and now and then keeps all of its state on the disk.

    Attributes:
        recorder: every step's statistics.
        ladder: every step's batch moments, averaged.
        step: training steps done.
        seconds: they took.

    Args:
        model: what is trained.
        steps: of the whole training.
        batch_size: examples a step.
        folder: for the savepoint: the file `step-<step>.npz` and a manifest that names it, with its SHA-256. The
            manifest changes last, so that a kill at any moment leaves the new savepoint or the one before. None for a
            training that is not worth one.
    """

    def __init__(self, model: Model, *, steps: int, batch_size: int, folder: Path | None) -> None:
        self.recorder, self.ladder = Recorder(steps), Ladder(model.positions, batch_size)
        self.step, self.seconds = 0, 0.0
        self._model, self._folder = model, folder
        self._next = time.monotonic() + SECONDS_BETWEEN

    def add(self, snapshot: Snapshot) -> None:
        """Collects one snapshot."""
        self.recorder.add(snapshot)
        self.ladder.add(snapshot.steps)
        self.step, self.seconds = snapshot.step, self.seconds + snapshot.seconds

    def save(self) -> None:
        """Keeps a savepoint, unless the last one was a moment ago."""
        started = time.monotonic()
        if self._folder is None or started < self._next:
            return
        self._folder.mkdir(exist_ok=True)
        content = pack(
            {f"variables/{name}": array for name, array in self._model.state().items()}
            | {f"recorder/{name}": array for name, array in self.recorder.state().items()}
            | {f"ladder/{name}": array for name, array in self.ladder.state().items()}
        )
        path = self._folder / f"step-{self.step}.npz"
        write_whole(path, content)
        manifest = {
            "step": self.step,
            "seconds": self.seconds,
            "file": path.name,
            "sha256": sha256(content).hexdigest(),
            "bytes": len(content),
        }
        write_whole(self._folder / MANIFEST, json.dumps(manifest, indent=1).encode())
        for other in self._folder.glob("step-*.npz"):
            if other != path:
                other.unlink()
        now = time.monotonic()
        self._next = now + max(SECONDS_BETWEEN, TIMES_ITS_OWN * (now - started))

    def load(self) -> None:
        """Goes to the savepoint, if there is one.

        Raises:
            ValueError: a file is missing, truncated or changed; nothing was touched. The message names it.
        """
        if self._folder is None or not (self._folder / MANIFEST).is_file():
            return
        try:
            manifest = json.loads((self._folder / MANIFEST).read_bytes())
            step, seconds = int(manifest["step"]), float(manifest["seconds"])
            path, digest, size = self._folder / manifest["file"], manifest["sha256"], manifest["bytes"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._folder / MANIFEST} is damaged ({first_line(error)})") from error
        content = path.read_bytes() if path.is_file() else b""
        if sha256(content).hexdigest() != digest:
            raise ValueError(
                f"{path} is damaged: it should have {size} bytes with SHA-256 {digest}, and has {len(content)}"
            )
        arrays = unpack(content)
        self._model.assign(under("variables/", arrays))
        self.recorder.restore(under("recorder/", arrays))
        self.ladder.restore(under("ladder/", arrays))
        self.step, self.seconds = step, seconds
