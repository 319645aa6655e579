"""The whole experiment, top to bottom: data, graph, training, final pass, evaluation, diagnosis, tracking."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from omegaconf import DictConfig
from rich.console import Console

from bnexp.attempts import Finished
from bnexp.build import build_model, graph_builder, make
from bnexp.config import check, resolved
from bnexp.dataset import Dataset
from bnexp.device import choose_device
from bnexp.diagnose import diagnose
from bnexp.evaluate import evaluate
from bnexp.examine import examine
from bnexp.final_pass import residuals
from bnexp.folders import RUNS
from bnexp.kept import kept_dataset, kept_model
from bnexp.ladder import best_decay, climb
from bnexp.record import (
    chosen,
    diagnosis_of,
    diagnosis_tags,
    finite,
    go_on,
    job_tags,
    log_training,
    params,
    run_name,
    title_of,
    write_artifacts,
    write_ladder,
)
from bnexp.report import print_report
from bnexp.restore import assign_checkpoint, restore_run
from bnexp.shared import SharedTraining, training_key
from bnexp.sharing import SHARED_VARIABLE
from bnexp.sweep import PARENT_VARIABLE
from bnexp.track import Tracker
from bnexp.training import Training

# the large batches of the control that evaluation one by one is compared with
LARGE_BATCH = 1000


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


def run(
    config: DictConfig, *, choices: Mapping[str, str], overrides: Sequence[str] = (), sweep: bool = False
) -> Result:
    """Runs one tracked experiment.

    Args:
        config: composed from conf/config.yaml.
        choices: the chosen name of each config group.
        overrides: what the command line said; they name the run.
        sweep: whether the run is one of many.

    Raises:
        UserError: something the user can mend. Found before training starts it leaves no run, or in a sweep a FAILED
            one, so that none of its jobs is missing; later the run ends as FAILED.
    """
    console = Console()
    choices = chosen(config, choices)
    name = run_name(overrides) or choices["variant"]
    failed_start = (name, params(config, choices)) if sweep else None
    tracking = config.tracking
    with (
        TemporaryDirectory(prefix="bnexp-") as scratch,
        Tracker(
            uri=tracking.uri,
            experiment=tracking.experiment,
            runs=RUNS,
            parent=os.environ.get(PARENT_VARIABLE, ""),
            failed_start=failed_start,
        ) as tracker,
    ):
        # an attempt at the same run that finished is not repeated, and one that was interrupted goes on
        finished = tracker.identify(job_tags(config), resume=config.resume)
        if finished is not None:
            return _report_again(console, finished, tracker, config, choices)

        # config -> data -> graph: whatever the user got wrong shows before there is a run
        check(config)
        checkpoint = None
        if config.restore is not None:
            fetched = Path(scratch, "restored")
            config, choices, checkpoint = restore_run(
                config, choices=choices, overrides=overrides, tracker=tracker, folder=fetched
            )
            check(config)
        device, device_line = choose_device(config.device)
        console.print(device_line, highlight=False)
        dataset: Dataset = kept_dataset(config) if sweep else make(config, "dataset")
        final_pass = make(config, "final_pass")
        model = (kept_model if sweep else build_model)(config, dataset, device)
        if checkpoint is not None:
            assign_checkpoint(model, checkpoint, f"restore={config.restore}")

        tags = {"bnexp.device": device_line} | ({"bnexp.restored_from": config.restore} if checkpoint else {})
        tracker.start(name, params=params(config, choices), tags=tags)
        title = title_of(config, choices)

        # train, unless the weights are those of a run that did
        metrics: dict[str, float] = {}
        trajectories = None
        training = Training(model, steps=config.steps, batch_size=config.batch_size, folder=tracker.savepoint)
        if checkpoint is None:
            go_on(training, console)
            shared = SharedTraining(shared_folder(config, dataset), tracker.run_id)
            course = {"batch_size": config.batch_size, "steps": config.steps, "seed": config.seed}
            with closing(shared.snapshots(model, dataset, **course, start=training.step)) as snapshots:
                trajectories = log_training(snapshots, training, model, tracker, console, steps=config.steps)
            metrics["train/seconds"] = training.seconds
            if shared.trained_by:
                tracker.tag({"bnexp.shared_training_with": shared.trained_by})
                console.print(f"shares the training of run {shared.trained_by}", highlight=False)

        # final pass, with the same evaluation before and after it
        evaluated = partial(evaluate, model, dataset.x_test, dataset.y_test)
        before, last_averages = evaluated(batch_size=config.eval_batch_size), model.state()
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

        # what other averages of the same training would have given
        rungs = None
        if trajectories is not None and trajectories.layers:
            same = np.array_equal(after.predictions, batched.predictions) and after.moved == 0
            rungs = climb(
                training.ladder,
                model,
                dataset.x_test,
                dataset.y_test,
                batch_size=LARGE_BATCH if same else config.eval_batch_size,
            )
            metrics["ladder/best_decay"], metrics["ladder/best_accuracy"] = best_decay(rungs)

        # diagnose, track
        evidence = examine(
            make(config, "variant"),
            graph_builder(config, dataset),
            rank=model.rank,
            decay=config.decay,
            steps=config.steps,
            replaced=bool(statistics),
            trajectories=trajectories,
            evaluation=before,
            batched=batched,
            model=model,
        )
        diagnosis = diagnose(evidence)
        tracker.log(finite(metrics))
        tracker.tag(diagnosis_tags(diagnosis))
        artifacts = Path(scratch, "artifacts")
        write_artifacts(artifacts, config, model, last_averages, trajectories, title)
        if rungs is not None:
            write_ladder(artifacts, rungs, title=title, decay=config.decay)
        tracker.artifacts(artifacts)
    print_report(
        console,
        title=title,
        metrics=metrics,
        diagnosis=diagnosis,
        run_id=tracker.run_id,
        where=tracker.where(),
        device=device_line,
    )
    return Result(tracker.run_id, metrics, diagnosis.verdict)


def _report_again(
    console: Console, finished: Finished, tracker: Tracker, config: DictConfig, choices: Mapping[str, str]
) -> Result:
    """Prints the report of a run that finished before: in a sweep one line, for there the table is what counts."""
    diagnosis = diagnosis_of(finished.tags)
    if tracker.parent:
        accuracy = finished.metrics.get("test/accuracy", nan)
        console.print(f"finished before: run {finished.run_id}, accuracy {accuracy:.4f}", highlight=False)
    else:
        console.print("this run has finished before, and is not run again", highlight=False)
        print_report(
            console,
            title=title_of(config, choices),
            metrics=finished.metrics,
            diagnosis=diagnosis,
            run_id=finished.run_id,
            where=tracker.where(finished.run_id),
            device=finished.tags.get("bnexp.device", ""),
        )
    return Result(finished.run_id, finished.metrics, diagnosis.verdict)


def shared_folder(config: DictConfig, dataset: Dataset) -> Path | None:
    """Returns where a sweep's jobs share this training with each other; None where they cannot or shall not."""
    folder = os.environ.get(SHARED_VARIABLE)
    return Path(folder, training_key(resolved(config), dataset)) if folder and config.reuse else None
