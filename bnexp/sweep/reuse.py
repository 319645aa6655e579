"""Tells the jobs of a sweep in which folder to share trainings, if any of them can share one."""

import atexit
from collections.abc import Sequence
from hashlib import sha256
from shutil import rmtree

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from bnexp.names import SHARED_VARIABLE, telling_overrides
from bnexp.storage.folders import RUNS
from bnexp.sweep.launchers import tell_jobs

# the keys in which jobs may differ and still share a training
SHARING = ("decay", "variant.decay", "final_pass", "eval_batch_size", "tracking")


def share_trainings(config: DictConfig) -> None:
    """Tells a sweep's jobs the folder of shared trainings, which is removed when the process that leads the sweep ends.

    It does nothing if no two jobs could share a training.

    Args:
        config: the sweep's config, as Hydra passes it to a callback when the sweep starts; it is changed.
    """
    overrides = config.hydra.overrides.task
    if not shares(overrides):
        return
    # the name depends only on the overrides, so that a sweep that was killed finds its trainings when it is restarted
    same = sorted(telling_overrides(overrides))
    folder = RUNS / "shared" / sha256("\n".join(same).encode()).hexdigest()[:16]
    atexit.register(rmtree, folder, ignore_errors=True)
    tell_jobs(config, SHARED_VARIABLE, folder)


def shares(overrides: Sequence[str]) -> bool:
    """Tells whether a sweep has jobs that could share a training, by the keys that it sweeps over.

    Args:
        overrides: the overrides of the command line as the user wrote them.

    Example:
        >>> shares(["decay=0.9,0.99"]), shares(["seed=0,1"])
        (True, False)
    """
    swept = [o for o in OverridesParser.create().parse_overrides(list(overrides)) if o.is_sweep_override()]
    return any(f"{override.key_or_group}.".startswith(f"{key}.") for override in swept for key in SHARING)
