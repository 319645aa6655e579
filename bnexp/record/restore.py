"""Restores a finished run: its settings and its checkpoint."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from bnexp.config.renamed import renamed_variant
from bnexp.config.schema import GROUPS
from bnexp.config.settings import OF_THE_LAYER, Settings, lookup, settings_of
from bnexp.engine.model import Model
from bnexp.errors import UserError, first_line
from bnexp.record.identity import chosen
from bnexp.storage.checkpoint import Checkpoint, load_checkpoint
from bnexp.tracking.tracker import Tracker

# the settings that may differ from those of the restored run, since its weights do not depend on them
_FREE = ("final_pass", "eval_batch_size", "device", "engine", "tracking", "restore", "resume", "reuse", "verbose")


def restore_run(
    settings: Settings, *, choices: Mapping[str, str], overrides: Sequence[str], tracker: Tracker, folder: Path
) -> tuple[Settings, dict[str, str], Checkpoint]:
    """Fetches the finished run that `settings.restore` names.

    Args:
        settings: the settings of the run that restores.
        choices: the name chosen for each config group of that run, by group.
        overrides: the overrides of the command line, to tell what the user asked for from defaults.
        tracker: tracks the new run, in the store that has the finished one.
        folder: the folder to which files are fetched.

    Returns:
        The finished run's settings, with the new run's final pass, evaluation and device; the names chosen for its
        config groups; and its checkpoint.

    Raises:
        UserError: the store has no such run, a file is damaged, or an override contradicts what the finished run was
            trained with.

    Example:
        >>> restored, choices, checkpoint = restore_run(
        ...     replace(settings, restore=run_id), choices=choices, overrides=[], tracker=tracker, folder=folder
        ... )
    """
    source = f"restore={settings.restore}"
    params = tracker.fetch(str(settings.restore), folder)
    if any(group not in params for group in GROUPS):
        raise UserError(f"{source}: that is not a run of bnexp. Copy the run id from the report of one.")
    now = settings.as_dict()
    had = _load_config(folder / "config.yaml", source, keys=[key for key in now if key not in _FREE])
    wanted = {**choices, **chosen(settings, choices)}
    for override in overrides:
        _check_override(override, source, now, wanted, had, params)
    tree = had | {key: now[key] for key in _FREE}
    # the same data may have been moved since
    if "dataset.path" in map(_key, overrides):
        tree["dataset"] = {**tree["dataset"], "path": now["dataset"]["path"]}
    names = {group: params[group] for group in GROUPS} | {"final_pass": choices["final_pass"]}
    return settings_of(tree), names, load_checkpoint(folder / "checkpoint", source)


def _load_config(path: Path, source: str, keys: Sequence[str]) -> dict[str, Any]:
    try:
        restored = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception as error:  # damaged YAML raises errors of many types
        raise UserError(f"{source}: its config.yaml is damaged ({first_line(error)}). Restore another run.") from error
    if isinstance(restored, dict):
        restored = {"updates": "auto"} | restored  # runs of older versions have no such key
    missing = [key for key in keys if not isinstance(restored, dict) or key not in restored]
    if missing or not isinstance(restored, dict):
        raise UserError(
            f"{source}: its config.yaml lacks {', '.join(missing)}: damaged, or of another bnexp. Restore another run."
        )
    had = {str(key): value for key, value in restored.items()}
    # runs of older versions have them apart where only the layer's was given
    return had | {key: had["variant"].get(key, had[key]) for key in OF_THE_LAYER}


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _check_override(
    override: str,
    source: str,
    now: Mapping[str, Any],
    choices: Mapping[str, str],
    had: Mapping[str, Any],
    params: Mapping[str, str],
) -> None:
    """Raises UserError if an override asks for something else than the restored run was trained with."""
    key = _key(override)
    if key.split(".")[0] in _FREE or key == "dataset.path":
        return
    if key in choices:
        # compared by name, since the YAML file of that name may have changed since. A group that the run was not given,
        # such as an experiment, may set any key, and so contradicts every restored run
        wanted, found = choices[key], renamed_variant(params[key]) if key in params else None
    else:
        wanted, found = lookup(now, key), lookup(had, key)
    if wanted != found:
        raise UserError(
            f"{source}: that run was trained with {key}={found}, and its weights cannot be given "
            f"{override}. Leave {key} out, or train a new run without restore."
        )


def assign_checkpoint(model: Model, checkpoint: Checkpoint, source: str) -> None:
    """Sets every variable of a model to that of a checkpoint, as it was before the final pass.

    Args:
        model: the model of the same network.
        checkpoint: the checkpoint, as `restore_run` returns it.
        source: says whose checkpoint it is, with which a message begins: `"restore=RUN_ID"`.

    Raises:
        UserError: the checkpoint's variables have other names or shapes than the model's.

    Example:
        >>> assign_checkpoint(model, Checkpoint(model.state(), last_averages={}), "restore=3f2c")
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
