"""The training of a tracked run: resumed from its savepoint, with every snapshot logged and savepoints written."""

from collections.abc import Iterable
from contextlib import suppress
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import Progress

from bnexp.engine.model import Model
from bnexp.names import (
    MEAN_ERROR,
    MONITORED,
    TRAIN_ACCURACY,
    TRAIN_LOSS,
    VARIANCE_RATIO,
    moving_metric,
    unit_metric,
)
from bnexp.runtime.signals import uninterrupted
from bnexp.statistics.moments import mean_error, variance_ratio
from bnexp.storage.arrays import DamagedError
from bnexp.tracking.tracker import Tracker
from bnexp.training.loop import PERCENTILES, Snapshot
from bnexp.training.savepoint import Training
from bnexp.training.trajectory import Trajectories

# the most points of train/loss and train/accuracy; longer runs log every second, third, ... step
MOST_POINTS = 2000


def resume(training: Training, console: Console) -> None:
    """Continues an interrupted training from its savepoint; if that is damaged, the training starts over.

    Args:
        training: the training, whose folder may hold a savepoint.
        console: gets a line that says what was done.

    Example:
        >>> resume(training, Console())
        resumed after step 4
    """
    try:
        training.load()
    except DamagedError as error:
        console.print(f"{error}. The training starts over.", highlight=False, soft_wrap=True)
    if training.step:
        console.print(f"resumed after step {training.step}", highlight=False)


def log_training(
    snapshots: Iterable[Snapshot],
    training: Training,
    model: Model,
    tracker: Tracker,
    console: Console | None,
    *,
    steps: int,
) -> Trajectories:
    """Iterates over a training, logs each snapshot, and returns the trajectories.

    If the training ends with an error, what it had recorded is stored as an artifact.

    Args:
        snapshots: the snapshots of the steps still to be done, as `train` or `SharedTraining.snapshots` yields them.
        training: collects the snapshots and writes savepoints.
        model: the model that is trained; at each snapshot its variables are those of that step.
        tracker: tracks the run, which has started; it gets the metrics.
        console: gets a progress bar if it is a terminal; None shows no bar.
        steps: the number of training steps of the whole run.

    Returns:
        What the whole run recorded, its resumed part included.

    Example:
        >>> snapshots = train(model, dataset, batch_size=60, steps=4, seed=0)
        >>> trajectories = log_training(snapshots, training, model, tracker, None, steps=4)
    """
    try:
        disable = console is None or not console.is_terminal
        with Progress(console=console, transient=True, disable=disable) as progress:
            task = progress.add_task("training", total=steps, completed=training.step)
            for snapshot in snapshots:
                training.add(snapshot)
                log_snapshot(tracker, model, snapshot, steps=steps)
                training.save()
                progress.update(task, completed=snapshot.step)
    except BaseException:
        # what was recorded is kept, whatever ended the training; a failure to store it must not hide the reason
        with uninterrupted(), suppress(Exception), TemporaryDirectory(prefix="bnexp-") as folder:
            if training.step:
                training.recorder.trajectories().save(Path(folder, "trajectories.npz"))
                tracker.artifacts(Path(folder))
        raise
    return training.recorder.trajectories()


def log_snapshot(tracker: Tracker, model: Model, snapshot: Snapshot, *, steps: int) -> None:
    """Logs the losses and accuracies of a snapshot's steps, and its measurements.

    Args:
        tracker: tracks the run, which has started; it gets the metrics.
        model: the model with the variables of the snapshot's step.
        snapshot: the snapshot to log.
        steps: the number of training steps of the whole run; of a long run only every second, third, ... step is
            logged.

    Example:
        >>> log_snapshot(tracker, model, snapshot, steps=4)
    """
    stride = ceil(steps / MOST_POINTS)
    first = snapshot.step - len(snapshot.steps.losses) + 1
    for step, loss, accuracy in zip(
        range(first, snapshot.step + 1), snapshot.steps.losses, snapshot.steps.accuracies, strict=True
    ):
        # the last step is always logged, since a table of runs shows the last value
        if step % stride == 0 or step == steps:
            tracker.log({TRAIN_LOSS: loss, TRAIN_ACCURACY: accuracy}, step=step)
    distances = {MONITORED: snapshot.monitored}
    for layer, moving in model.moving_statistics().items():
        distances[moving_metric(layer, MEAN_ERROR)] = mean_error(moving, snapshot.population[layer])
        distances[moving_metric(layer, VARIANCE_RATIO)] = variance_ratio(moving, snapshot.population[layer])
    for layer, values in snapshot.percentiles.items():
        distances |= {unit_metric(layer, p): value for p, value in zip(PERCENTILES, values, strict=True)}
    tracker.log(distances, step=snapshot.step)
