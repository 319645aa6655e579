"""Eight tiny tracked runs at once, in processes of their own; without TensorFlow, which would take eight times its time.

python tests/eight_runs.py FOLDER
"""

import multiprocessing
import sys
from pathlib import Path

from bnexp.tracking.tracker import Tracker

STEPS = 120


def one_run(folder: Path, number: int) -> str:
    """Tracks a run as a training would: metrics by step, sent as they come, tags, artifacts."""
    made = folder / f"made-{number}"
    made.mkdir()
    (made / "file").write_text(str(number))
    uri = f"sqlite:///{folder}/runs/mlflow.db"
    with Tracker(uri=uri, experiment="e", runs=folder / "runs") as tracker:
        tracker.start(f"run {number}", params={"number": number}, tags={})
        for step in range(1, STEPS + 1):
            tracker.log({f"m{i}": number + step * i for i in range(5)}, step=step)
            if step % 40 == 0:
                tracker.flush()
        tracker.tag({"done": "yes"})
        tracker.artifacts(made)
    return tracker.run_id


if __name__ == "__main__":
    # forked from a process that has done nothing but import, so that they start at once
    with multiprocessing.get_context("fork").Pool(8) as pool:
        print(*pool.starmap(one_run, [(Path(sys.argv[1]), number) for number in range(8)], chunksize=1))
