"""A sweep's jobs are told where to share their trainings, if there is anything to share. Imports no TensorFlow."""

import atexit
from collections.abc import Sequence
from hashlib import sha256
from shutil import rmtree
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bnexp.folders import RUNS
from bnexp.launchers import tell_jobs

# how a job, wherever its launcher runs it, learns where its sweep's trainings are
SHARED_VARIABLE = "BNEXP_SHARED_TRAININGS"

# what jobs may differ in and still share a training
SHARING = ("decay", "variant.decay", "final_pass", "eval_batch_size", "tracking")


class ShareTrainings(Callback):
    """Names the folder of a sweep's trainings, and removes it when the process that leads the sweep ends."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Tells every job of the folder, unless no two jobs could share a training."""
        overrides = config.hydra.overrides.task
        if not shares(overrides):
            return
        # the same for the same sweep: one that was killed and is started again finds its trainings
        same = sorted(o for o in overrides if not o.startswith("resume="))
        folder = RUNS / "shared" / sha256("\n".join(same).encode()).hexdigest()[:16]
        atexit.register(rmtree, folder, ignore_errors=True)
        tell_jobs(config, SHARED_VARIABLE, folder)


def shares(overrides: Sequence[str]) -> bool:
    """Tells whether a sweep has jobs that could share a training, from what its command line sweeps over."""
    swept = [o for o in OverridesParser.create().parse_overrides(list(overrides)) if o.is_sweep_override()]
    return any(f"{override.key_or_group}.".startswith(f"{key}.") for override in swept for key in SHARING)
