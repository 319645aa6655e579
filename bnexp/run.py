"""The whole experiment, top to bottom: data, graph, training, final pass, evaluation, diagnosis, tracking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import Progress

from bnexp.build import build_model
from bnexp.checkpoint import Checkpoint, save_checkpoint, write_whole
from bnexp.config import GROUPS, check
from bnexp.dataset import Dataset
from bnexp.device import choose_device
from bnexp.diagnose import diagnose
from bnexp.evaluate import evaluate
from bnexp.final_pass import residuals
from bnexp.model import Model
from bnexp.moments import mean_error, variance_ratio
from bnexp.plot import plot_trajectories
from bnexp.report import print_report
from bnexp.restore import restore_run
from bnexp.track import Tracker, flatten
from bnexp.train import Snapshot, train
from bnexp.trajectory import Recorder, Trajectories

RUNS = Path("runs")

# the large batches of the control that evaluation one by one is compared with
LARGE_BATCH = 1000

# the most points of train/loss and train/accuracy; longer runs log every second, third, ... step
MOST_POINTS = 2000


@dataclass(frozen=True)
class Result:
    """What came out of a run.

    Attributes:
        run_id: in MLflow.
        metrics: the final metrics by their MLflow names.
        verdict: one word.
    """

    run_id: str
    metrics: Mapping[str, float]
    verdict: str


def run(config: DictConfig, *, choices: Mapping[str, str], overrides: Sequence[str] = (), name: str = "") -> Result:
    """Runs one tracked experiment.

    Args:
        config: composed from conf/config.yaml.
        choices: the chosen name of each config group.
        overrides: what the command line said.
        name: the run's name in MLflow; the variant's by default.

    Raises:
        UserError: something the user can mend. Before the run starts there is no run; after, it ends as FAILED.
    """
    console = Console()
    with TemporaryDirectory(prefix="bnexp-") as scratch:
        # config -> data -> graph: whatever the user got wrong shows before there is a run
        checkpoint = None
        if config.restore is not None:
            config, choices, checkpoint = restore_run(
                config, choices=choices, overrides=overrides, folder=Path(scratch, "restored")
            )
        check(config)
        device, device_line = choose_device(config.device)
        console.print(device_line)
        dataset: Dataset = instantiate(config.dataset)
        model = build_model(config, dataset, device)
        tracker = Tracker(uri=config.tracking.uri, experiment=config.tracking.experiment, runs=RUNS)
        tags = {"bnexp.device": device_line} | ({"bnexp.restored_from": config.restore} if config.restore else {})
        title = ", ".join(choices[group] for group in GROUPS) + f", decay {config.decay:g}"
        artifacts = Path(scratch, "artifacts")
        artifacts.mkdir()

        with tracker.start(name or choices["variant"], params=params(config, choices), tags=tags):
            # train, or take the weights of a run that did
            metrics: dict[str, float] = {}
            trajectories = None
            if checkpoint is None:
                trajectories, metrics["train/seconds"] = train_and_log(model, dataset, config, tracker, console)
            else:
                model.assign({**checkpoint.variables, **checkpoint.last_averages})

            # final pass, with the same evaluation before and after it
            evaluated = partial(evaluate, model, dataset.x_test, dataset.y_test)
            before, last_averages = evaluated(batch_size=config.eval_batch_size), model.state()
            final_pass = instantiate(config.final_pass)
            statistics = final_pass(model, dataset.x_train, batch_size=config.batch_size, seed=config.seed)
            model.assign_moving_statistics(statistics)  # the only write after training
            after = evaluated(batch_size=config.eval_batch_size)
            batched = evaluated(batch_size=LARGE_BATCH)
            forgotten = evaluated(batch_size=config.eval_batch_size, batch_mode=True)
            metrics |= {
                "test/accuracy": after.accuracy,
                "test/accuracy_before_final_pass": before.accuracy,
                "test/accuracy_batched": batched.accuracy,
                "test/accuracy_batch_statistics": forgotten.accuracy,
                "test/flips": float(np.sum(after.predictions != batched.predictions)),
                "test/moved": after.moved,
                "test/seconds": after.seconds,
            }
            for layer, residual in residuals(model, dataset.x_train).items():
                metrics[f"final_pass/{layer}/residual_mean"] = float(residual.mean.max())
                metrics[f"final_pass/{layer}/residual_variance"] = float(residual.variance.max())

            # diagnose, track
            diagnosis = diagnose(trajectories, after)
            tracker.log(finite(metrics), step=config.steps)
            tracker.tag({"bnexp.verdict": diagnosis.verdict, "bnexp.sentence": diagnosis.sentence})
            write_artifacts(artifacts, config, model, last_averages, trajectories, title)
            tracker.artifacts(artifacts)
    print_report(
        console,
        title=title,
        metrics=metrics,
        diagnosis=diagnosis,
        run_id=tracker.run_id,
        uri=tracker.uri,
        device=device_line,
    )
    return Result(tracker.run_id, metrics, diagnosis.verdict)


def params(config: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """Returns the run's MLflow params: the config with its keys joined by dots, and the name chosen for each group."""
    container: Any = OmegaConf.to_container(config, resolve=True)
    return flatten(container) | {group: choices[group] for group in GROUPS}


def train_and_log(
    model: Model, dataset: Dataset, config: DictConfig, tracker: Tracker, console: Console
) -> tuple[Trajectories, float]:
    """Trains to the end, logs every snapshot as it comes, and returns the trajectories and the seconds of training."""
    recorder, seconds = Recorder(config.steps), 0.0
    stride = ceil(config.steps / MOST_POINTS)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("training", total=config.steps)
        for snapshot in train(model, dataset, batch_size=config.batch_size, steps=config.steps, seed=config.seed):
            recorder.add(snapshot)
            seconds += snapshot.seconds
            log_snapshot(tracker, model, snapshot, stride=stride)
            progress.update(task, completed=snapshot.step)
    return recorder.trajectories(), seconds


def log_snapshot(tracker: Tracker, model: Model, snapshot: Snapshot, *, stride: int) -> None:
    """Logs every `stride`-th step's loss and accuracy, and how far the moving statistics are from the population."""
    first = snapshot.step - len(snapshot.steps.losses) + 1
    for step, loss, accuracy in zip(
        range(first, snapshot.step + 1), snapshot.steps.losses, snapshot.steps.accuracies, strict=True
    ):
        if step % stride == 0:
            tracker.log(finite({"train/loss": loss, "train/accuracy": accuracy}), step=step)
    distances = {}
    for layer, moving in model.moving_statistics().items():
        distances[f"moving/{layer}/mean_error"] = mean_error(moving, snapshot.population[layer])
        distances[f"moving/{layer}/variance_ratio"] = variance_ratio(moving, snapshot.population[layer])
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
    write_whole(folder / "config.yaml", OmegaConf.to_yaml(config, resolve=True).encode())
    state = model.state()
    replaced = {key: value for key, value in last_averages.items() if not np.array_equal(value, state[key])}
    save_checkpoint(folder / "checkpoint", Checkpoint(state, replaced))
    if trajectories is not None:
        trajectories.save(folder / "trajectories.npz")
        plot_trajectories(trajectories, folder / "trajectories.png", title=title)
