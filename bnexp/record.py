"""What a run tells its tracker: params, metrics by step while it trains, artifacts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from hashlib import sha256
from math import ceil, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import Progress

from bnexp.checkpoint import Checkpoint, save_checkpoint, write_whole
from bnexp.config import GROUPS, resolved
from bnexp.interrupt import uninterrupted
from bnexp.model import Model
from bnexp.moments import mean_error, variance_ratio
from bnexp.plot import plot_ladder, plot_trajectories
from bnexp.track import Tracker
from bnexp.tracking_store import without_password
from bnexp.train import PERCENTILES, Snapshot
from bnexp.training import Training
from bnexp.trajectory import Trajectories
from bnexp.verdict import Diagnosis

# the most points of train/loss and train/accuracy; longer runs log every second, third, ... step
MOST_POINTS = 2000


def params(config: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """Returns the run's MLflow params: the config with its keys joined by dots, and the name chosen for each group."""
    return flatten(public(config)) | {group: choices[group] for group in GROUPS}


def chosen(config: DictConfig, choices: Mapping[str, str]) -> dict[str, str]:
    """Returns the name chosen for each config group; a stranger's target goes by its own, not by the file it hides."""
    names = {group: choices[group] for group in GROUPS}
    for group in ("variant", "network", "final_pass"):
        target = str(config[group]["_target_"])
        if not target.startswith(f"bnexp.{group}.{names[group]}."):
            names[group] = target
    return names


def run_name(overrides: Sequence[str]) -> str:
    """Returns the overrides that say what a run is, and not where it is tracked nor that it is resumed."""
    return " ".join(override for override in overrides if not override.startswith(("tracking.", "resume=")))


def job_tags(config: DictConfig) -> dict[str, str]:
    """Returns the tag that runs of the same config have, wherever they are tracked: by it a run is resumed."""
    wanted = {key: value for key, value in resolved(config).items() if key not in ("tracking", "resume", "reuse")}
    return {"bnexp.job": sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:32]}


def diagnosis_tags(diagnosis: Diagnosis) -> dict[str, str]:
    """Returns the diagnosis as tags of the run; MLflow shows `mlflow.note.content` as the run's description."""
    words = {key: value for key, value in asdict(diagnosis).items() if isinstance(value, str) and value}
    note = "\n\n".join(f"**{key}**: {value}" for key, value in words.items())
    return {f"bnexp.{key}": value for key, value in words.items()} | {"mlflow.note.content": note}


def diagnosis_of(tags: Mapping[str, str]) -> Diagnosis:
    """Returns the words of the diagnosis that `diagnosis_tags` wrote."""
    verdict, sentence, document, cure = (
        tags.get(f"bnexp.{word}", "") for word in ("verdict", "sentence", "document", "cure")
    )
    return Diagnosis(verdict, sentence, document, cure)


def public(config: DictConfig) -> dict[str, Any]:
    """Returns the resolved config without a tracking store's password."""
    container = resolved(config)
    container["tracking"]["uri"] = without_password(container["tracking"]["uri"])
    return container


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a nested config as one level, its keys joined by dots; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list) else value
    return flat


def title_of(config: DictConfig, choices: Mapping[str, str]) -> str:
    """Returns what a run is, in a line: the choices of its groups, and its decay."""
    return ", ".join(choices[group] for group in GROUPS) + f", decay {config.decay:g}"


def go_on(training: Training, console: Console) -> None:
    """Goes to the savepoint of a training that was interrupted; a damaged one is named, and training starts over."""
    try:
        training.load()
    except ValueError as error:
        console.print(f"{error}. The training starts over.", highlight=False, soft_wrap=True)
    if training.step:
        console.print(f"resumed after step {training.step}", highlight=False)


def log_training(
    snapshots: Iterable[Snapshot],
    training: Training,
    model: Model,
    tracker: Tracker,
    console: Console,
    *,
    steps: int,
) -> Trajectories:
    """Goes through a training, logs every snapshot as it comes, and returns the trajectories.

    Args:
        snapshots: from `train`, or from whatever yields the same.
        training: collects them.
        model: what they are snapshots of, at each of them as it was then.
        tracker: has started the run.
        console: gets a progress bar where it is a terminal.
        steps: of the whole run.
    """
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("training", total=steps, completed=training.step)
            for snapshot in snapshots:
                training.add(snapshot)
                log_snapshot(tracker, model, snapshot, steps=steps)
                training.save()
                progress.update(task, completed=snapshot.step)
    except BaseException:
        # whatever ended the training, what it had recorded is kept; a disk that is full must not hide the reason
        with uninterrupted(), suppress(Exception), TemporaryDirectory(prefix="bnexp-") as folder:
            if training.step:
                training.recorder.trajectories().save(Path(folder, "trajectories.npz"))
                tracker.artifacts(Path(folder))
        raise
    return training.recorder.trajectories()


def log_snapshot(tracker: Tracker, model: Model, snapshot: Snapshot, *, steps: int) -> None:
    """Logs each step's loss and accuracy, thinned by the run's `steps`, and how far the moving statistics are off."""
    stride = ceil(steps / MOST_POINTS)
    first = snapshot.step - len(snapshot.steps.losses) + 1
    for step, loss, accuracy in zip(
        range(first, snapshot.step + 1), snapshot.steps.losses, snapshot.steps.accuracies, strict=True
    ):
        # the last step always: it is the value that a table of runs shows
        if step % stride == 0 or step == steps:
            tracker.log(finite({"train/loss": loss, "train/accuracy": accuracy}), step=step)
    distances = {"monitor/accuracy": snapshot.monitored}
    for layer, moving in model.moving_statistics().items():
        distances[f"moving/{layer}/mean_error"] = mean_error(moving, snapshot.population[layer])
        distances[f"moving/{layer}/variance_ratio"] = variance_ratio(moving, snapshot.population[layer])
    for layer, values in snapshot.percentiles.items():
        distances |= {f"unit/{layer}/p{p}": value for p, value in zip(PERCENTILES, values, strict=True)}
    tracker.log(finite(distances), step=snapshot.step)


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Leaves out what is not a finite number: not every tracking store can hold it."""
    return {key: float(value) for key, value in metrics.items() if isfinite(value)}


def write_artifacts(
    folder: Path,
    config: DictConfig,
    model: Model,
    last_averages: Mapping[str, np.ndarray],
    trajectories: Trajectories | None,
    title: str,
) -> None:
    """Writes config.yaml, checkpoint/ and, of a run that trained, trajectories.npz and trajectories.png."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(public(config))).encode())
    state = model.state()
    replaced = {key: value for key, value in last_averages.items() if not np.array_equal(value, state[key])}
    save_checkpoint(folder / "checkpoint", Checkpoint(state, replaced))
    if trajectories is not None:
        trajectories.save(folder / "trajectories.npz")
        plot_trajectories(trajectories, folder / "trajectories.png", title=title)


def write_ladder(folder: Path, rungs: pd.DataFrame, *, title: str, decay: float) -> None:
    """Writes ladder.csv and ladder.png."""
    write_whole(folder / "ladder.csv", rungs.to_csv(index=False).encode())
    plot_ladder(rungs, folder / "ladder.png", title=title, decay=decay)
