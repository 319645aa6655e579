"""Writes the artifacts of a run: config, checkpoint, trajectories, diagnosis and pictures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from bnexp.config.settings import Settings
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.engine.model import Model
from bnexp.evaluation.estimators import Estimators
from bnexp.record.identity import Identity, public
from bnexp.record.picture import plot_estimators, plot_trajectories
from bnexp.record.tags import diagnosis_json
from bnexp.storage.arrays import write_whole
from bnexp.storage.checkpoint import Checkpoint, save_checkpoint
from bnexp.storage.folders import refusals_told
from bnexp.training.trajectory import Trajectories


def write_artifacts(
    folder: Path,
    settings: Settings,
    identity: Identity,
    model: Model,
    diagnosis: Diagnosis,
    *,
    last_averages: Mapping[str, np.ndarray],
    trajectories: Trajectories | None,
    estimators: Estimators | None,
) -> None:
    """Writes all files that become artifacts of a run.

    Args:
        folder: the folder to write to; it is created if it is missing.
        settings: the settings of the run, for config.yaml; without a password.
        identity: the identity of the run, whose title is printed above the pictures.
        model: the model after the final pass, whose variables go to checkpoint/.
        diagnosis: the diagnosis of the run, for diagnosis.json.
        last_averages: the values of all variables before the final pass, by name; those that it replaced go to
            checkpoint/ too.
        trajectories: what the run recorded in training, for trajectories.npz and trajectories.png; None if it did not
            train.
        estimators: the accuracies with other averages, for ladder.csv and ladder.png; None if it did not train or no
            layer keeps statistics.

    Raises:
        UserError: the disk does not accept them.

    Example:
        >>> write_artifacts(
        ...     folder, settings, identity, model, diagnosis,
        ...     last_averages=model.state(), trajectories=None, estimators=None,
        ... )
        >>> sorted(path.name for path in folder.iterdir())
        ['checkpoint', 'config.yaml', 'diagnosis.json']
    """
    with refusals_told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(public(settings))).encode())
        write_whole(folder / "diagnosis.json", diagnosis_json(diagnosis))
        state = model.state()
        replaced = {key: value for key, value in last_averages.items() if not np.array_equal(value, state[key])}
        save_checkpoint(folder / "checkpoint", Checkpoint(state, replaced))
        if trajectories is not None:
            trajectories.save(folder / "trajectories.npz")
            plot_trajectories(trajectories, folder / "trajectories.png", title=identity.title)
        if estimators is not None:
            write_whole(folder / "ladder.csv", estimators.table.to_csv(index=False).encode())
            plot_estimators(estimators.table, folder / "ladder.png", title=identity.title, decay=identity.decay)
