"""A finished run as a starting point: its configuration and its checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from bnexp.checkpoint import Checkpoint, load_checkpoint
from bnexp.config import GROUPS
from bnexp.errors import UserError, first_line
from bnexp.model import Model
from bnexp.track import Tracker

# what may differ from the run that is restored: nothing that its weights depend on
_FREE = ("final_pass", "eval_batch_size", "device", "engine", "tracking", "restore", "resume", "reuse")


def restore_run(
    config: DictConfig, *, choices: Mapping[str, str], overrides: Sequence[str], tracker: Tracker, folder: Path
) -> tuple[DictConfig, dict[str, str], Checkpoint]:
    """Fetches the run that `config.restore` names.

    Args:
        config: composed from conf/config.yaml.
        choices: the names chosen for the config groups now.
        overrides: what the command line said, to tell a wish from a default.
        tracker: the store that has the run.
        folder: where fetched files go.

    Returns:
        The finished run's config with this run's final pass, evaluation and device; the names it chose for its groups;
        its checkpoint.

    Raises:
        UserError: no such run, a damaged checkpoint, or an override that its weights contradict.
    """
    source = f"restore={config.restore}"
    params = tracker.fetch(config.restore, folder)
    if any(group not in params for group in GROUPS):
        raise UserError(f"{source}: that is no run of bnexp. Copy the run id from the report of one.")
    restored = _load_config(folder / "config.yaml", source, keys=[key for key in map(str, config) if key not in _FREE])
    for override in overrides:
        _check_override(override, config, choices, restored, params)
    for key in _FREE:
        OmegaConf.update(restored, key, config[key], merge=False, force_add=True)
    # the same data may lie elsewhere by now
    if "dataset.path" in map(_key, overrides):
        restored.dataset.path = config.dataset.path
    names = {group: params[group] for group in GROUPS} | {"final_pass": choices["final_pass"]}
    return restored, names, load_checkpoint(folder / "checkpoint", source)


def _load_config(path: Path, source: str, keys: Sequence[str]) -> DictConfig:
    try:
        restored = OmegaConf.load(path)
    except Exception as error:  # what damaged YAML raises is a library's own affair
        raise UserError(f"{source}: its config.yaml is damaged ({first_line(error)}). Restore another run.") from error
    missing = [key for key in keys if not isinstance(restored, DictConfig) or key not in restored]
    if missing or not isinstance(restored, DictConfig):
        raise UserError(
            f"{source}: its config.yaml lacks {', '.join(missing)}: damaged, or of another bnexp. Restore another run."
        )
    return restored


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _check_override(
    override: str, config: DictConfig, choices: Mapping[str, str], restored: DictConfig, params: Mapping[str, str]
) -> None:
    """Raises UserError where an override asks for something else than the restored run was trained with."""
    key = _key(override)
    if key.split(".")[0] in _FREE or key == "dataset.path":
        return
    if key in choices:
        # by name: a group's text may have changed since. A group that the run knows nothing of, an experiment say, sets
        # what it will, so that no restored run has it
        wanted, had = choices[key], params.get(key)
    else:
        wanted, had = OmegaConf.select(config, key), OmegaConf.select(restored, key)
    if wanted != had:
        raise UserError(
            f"restore={config.restore}: that run was trained with {key}={had}, and its weights cannot be given "
            f"{override}. Leave {key} out, or train a new run without restore."
        )


def assign_checkpoint(model: Model, checkpoint: Checkpoint, source: str) -> None:
    """Gives a model every variable of a checkpoint, with the last averages where a final pass had replaced them.

    Raises:
        UserError: the checkpoint is not of this network.
    """
    shapes = {name: np.shape(value) for name, value in model.state().items()}
    found = {name: value.shape for name, value in checkpoint.variables.items()}
    differ = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
    if differ or not checkpoint.last_averages.keys() <= shapes.keys():
        name = differ[0] if differ else "last averages"
        raise UserError(
            f"{source}: its checkpoint is of another network: {name} has the shape {found.get(name)} there and "
            f"{shapes.get(name)} here. Restore it with the bnexp that trained it."
        )
    model.assign({**checkpoint.variables, **checkpoint.last_averages})
