"""A finished run as a starting point: its configuration and its checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bnexp.checkpoint import Checkpoint, load_checkpoint
from bnexp.config import GROUPS
from bnexp.errors import UserError
from bnexp.track import fetch_run

# what may differ from the run that is restored: nothing that its weights depend on
_FREE = ("final_pass", "eval_batch_size", "device", "engine", "tracking", "restore", "resume", "reuse", "hydra")


def restore_run(
    config: Any, *, choices: Mapping[str, str], overrides: Sequence[str], folder: Path
) -> tuple[Any, dict[str, str], Checkpoint]:
    """Fetches the run that `config.restore` names.

    Args:
        config: the composed config, a DictConfig.
        choices: the names chosen for the config groups now.
        overrides: what the command line said, to tell a wish from a default.
        folder: where fetched files go.

    Returns:
        The finished run's config with this run's final pass, evaluation and device; the names it chose for its groups; its
        checkpoint.

    Raises:
        UserError: no such run, a damaged checkpoint, or an override that its weights contradict.
    """
    params, files = fetch_run(config.tracking.uri, config.restore, folder)
    restored = OmegaConf.load(files / "config.yaml")
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if key.split(".")[0] not in _FREE and params.get(key) != value:
            raise UserError(
                f"restore={config.restore}: that run was trained with {key}={params.get(key)}, and its weights cannot be "
                f"given {override}. Leave {key} out, or train a new run without restore."
            )
    for key in _FREE:
        if key in config:
            OmegaConf.update(restored, key, config[key], merge=False, force_add=True)
    names = {group: params[group] for group in GROUPS} | {"final_pass": choices["final_pass"]}
    return restored, names, load_checkpoint(files / "checkpoint")
