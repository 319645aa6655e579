"""The whole experiment from top to bottom: data, graph, training, final pass, evaluation, diagnosis, tracking."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig
from rich import get_console

from bnexp import names
from bnexp.config.blame import blaming, blaming_any
from bnexp.config.make import make
from bnexp.config.schema import GROUPS
from bnexp.config.settings import Settings, check_settings, resolve
from bnexp.dataset import Dataset
from bnexp.diagnosis.audit import audit_built
from bnexp.diagnosis.diagnose import diagnose
from bnexp.diagnosis.evidence import gather_evidence
from bnexp.diagnosis.fingerprint import fingerprint
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.engine.build import build_model, graph_builder
from bnexp.engine.cache import cached_dataset, cached_model, found_once, load_dataset
from bnexp.errors import UserError
from bnexp.evaluation.estimators import evaluate_estimators
from bnexp.evaluation.evaluate import LARGE_BATCH, evaluate, evaluate_controls
from bnexp.evaluation.harm import measure_harm
from bnexp.final_pass import residual_metrics
from bnexp.graph.layer import updates_left
from bnexp.record.artifacts import write_artifacts
from bnexp.record.identity import Identity, identify
from bnexp.record.progress import log_training, resume
from bnexp.record.report import print_report
from bnexp.record.restore import assign_checkpoint, restore_run
from bnexp.record.tags import diagnosis_of, diagnosis_tags
from bnexp.runtime.device import choose_device
from bnexp.storage.folders import RUNS
from bnexp.tracking.tracker import Tracker
from bnexp.training.loop import measure, sample_rows
from bnexp.training.reuse import SharedTraining, training_key
from bnexp.training.savepoint import Training


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        run_id: the run's id in MLflow; its journal's key if the store does not have it yet.
        metrics: the final metrics by their MLflow names, such as `"test/accuracy"`.
        verdict: the diagnosis in one word, such as `"healthy"`.
        note: a remark for the report: the run had finished before, or it shares another run's training; mostly empty.
    """

    run_id: str
    metrics: Mapping[str, float]
    verdict: str
    note: str = ""


def run(
    config: DictConfig, *, choices: Mapping[str, str], overrides: Sequence[str] = (), sweep: bool = False
) -> Result:
    """Runs one tracked experiment.

    Args:
        config: the config that Hydra composed from conf/config.yaml; everything below is given `Settings` instead.
        choices: the name chosen for each config group, by group.
        overrides: the overrides of the command line, which become the run's name.
        sweep: whether the run is a job of a sweep; dataset and model are then reused by later jobs in this process.

    Returns:
        The run's id, its final metrics and its verdict.

    Raises:
        UserError: something that the user can mend. If it is found before training starts there is no run, except in a
            sweep, where it is tracked as FAILED so that every job has a run. Later the run ends as FAILED.

    Example:
        >>> config = hydra.compose("config", ["variant=ema"])
        >>> choices = {"dataset": "digits", "network": "mlp", "variant": "ema", "final_pass": "none"}
        >>> result = run(config, choices={**choices, "optimizer": "adam"})
        CPU: TensorFlow sees no GPU
        ...
        >>> result.metrics["test/accuracy"]
        0.9746...
    """
    console = get_console()
    settings = resolve(config, overrides)
    identity = identify(settings, choices, overrides)
    tracking, quiet = settings.tracking, sweep and not settings.verbose
    with (
        TemporaryDirectory(prefix="bnexp-") as scratch,
        Tracker(
            uri=tracking.uri,
            experiment=tracking.experiment,
            runs=RUNS,
            parent=os.environ.get(names.PARENT_VARIABLE, ""),
            failed_start=(identity.name, identity.params) if sweep else None,
        ) as tracker,
        blaming_any(
            {f"{group}._target_": getattr(settings, group)["_target_"] for group in GROUPS},
            tried=f"engine={settings.engine}",
        ),
    ):
        # --- with resume=true, an attempt at the same run that has finished is reported, not repeated ---
        finished = tracker.identify(identity.tags, resume=settings.resume)
        if finished is not None:
            note = f"finished before: run {finished.run_id}, not run again"
            result = Result(finished.run_id, finished.metrics, finished.tags.get(names.VERDICT_TAG, ""), note)
            if not quiet:
                device_line = finished.tags.get(names.DEVICE_TAG, "")
                _report(result, diagnosis_of(finished.tags), identity, tracker, device_line)
            return result

        # --- build: mistakes in the settings show here, before there is a run ---
        check_settings(settings)
        checkpoint = None
        if settings.restore is not None:
            settings, choices, checkpoint = restore_run(
                settings, choices=choices, overrides=overrides, tracker=tracker, folder=Path(scratch, "restored")
            )
            identity = identify(settings, choices, overrides)
            check_settings(settings)
        device, device_line = choose_device(settings.device)
        if not quiet:
            console.print(device_line, highlight=False)
        dataset: Dataset = (cached_dataset if sweep else load_dataset)(settings)
        final_pass = make(settings, "final_pass")
        model = (cached_model if sweep else build_model)(settings, dataset, device)

        if model.note and not quiet:
            _remark(model.note)

        if checkpoint is not None:
            assign_checkpoint(model, checkpoint, f"restore={settings.restore}")
        tags = {names.DEVICE_TAG: device_line} | ({names.RESTORED_TAG: settings.restore} if settings.restore else {})
        tags |= {names.ENGINE_TAG: model.note} if model.note else {}
        tracker.start(identity.name, params=identity.params, tags=tags)

        # --- weights: from the first of these sources that is there ---
        #   1. another run's checkpoint (restore=RUN_ID), assigned above: nothing is trained
        #   2. this run's own savepoint (resume=true): training continues from it
        #   3. another job's training (reuse=true): its recorded moments, averaged by this variant's own updates
        #   4. training
        metrics: dict[str, float] = {}
        trajectories = None
        training = Training(model, steps=settings.steps, batch_size=settings.batch_size, folder=tracker.savepoint)
        note = ""
        if checkpoint is None:
            shared = SharedTraining(_shared_folder(settings, dataset), tracker.run_id)
            resume(training, console)
            course = {"batch_size": settings.batch_size, "steps": settings.steps, "seed": settings.seed}
            with closing(shared.snapshots(model, dataset, **course, start=training.step)) as snapshots:
                trajectories = log_training(
                    snapshots, training, model, tracker, None if sweep else console, steps=settings.steps
                )
            metrics[names.TRAIN_SECONDS] = training.seconds
            if shared.trained_by:
                tracker.tag({names.SHARED_TAG: shared.trained_by})
                note = f"shares the training of run {shared.trained_by[:8]}"

        # --- evaluation before the final pass, with the last moving averages ---
        before = evaluate(model, dataset.x_test, dataset.y_test, batch_size=settings.eval_batch_size)
        last_averages = model.state()
        metrics[names.ACCURACY_BEFORE] = before.accuracy

        # --- final pass: it measures statistics; the line that assigns them is the only write after training ---
        target = settings.final_pass["_target_"]
        with blaming(f"final_pass._target_={target}", target):
            statistics = final_pass(model, dataset.x_train, batch_size=settings.batch_size, seed=settings.seed)
        if not isinstance(statistics, Mapping):
            raise UserError(
                f"final_pass._target_={target} returned {type(statistics).__name__}. Let it return the Moments of each "
                "layer by its name, as those of bnexp.final_pass do."
            )
        model.assign_moving_statistics(statistics)
        metrics |= residual_metrics(model, dataset.x_train)

        # --- evaluation after it: at eval_batch_size, in large batches, and with batch statistics ---
        controls = evaluate_controls(model, dataset, eval_batch_size=settings.eval_batch_size)
        metrics |= controls.metrics()
        if controls.left_out and not quiet:
            _remark(controls.left_out)

        # --- estimators: the accuracy that other averages of the same training would have given ---
        estimators = None
        if trajectories is not None and trajectories.averaging_layers:
            estimators = evaluate_estimators(
                training.averages,
                model,
                trajectories.last_population,
                dataset.x_test,
                dataset.y_test,
                batch_size=settings.eval_batch_size if controls.batch_matters else LARGE_BATCH,
            )
            metrics |= estimators.metrics()

        # --- harm: what the statistics that inference uses cost, beside those of the population ---
        if trajectories is not None:
            population = trajectories.last_population
        else:
            sample = sample_rows(len(dataset.x_train), settings.batch_size, seed=settings.seed)
            population, _ = measure(model, dataset.x_train, sample)
        harm = measure_harm(model, population, dataset, controls, eval_batch_size=settings.eval_batch_size)
        metrics |= harm.metrics() if model.layers else {}

        # --- evidence: the layer probed alone, the audit of its graph, and the run's measurements ---
        variant, build = make(settings, "variant"), graph_builder(settings, dataset)
        probe = partial(fingerprint, variant, rank=model.rank)
        left = updates_left(model.graph)
        by_minimize = found_once(model, "by minimize", partial(probe, updates="minimize")) if left else None
        evidence = gather_evidence(
            found_once(model, "fingerprint", partial(probe, updates=settings.updates)),
            found_once(model, "audit", partial(audit_built, build)),
            decay=settings.decay,
            steps=settings.steps,
            replaced=bool(statistics),
            trajectories=trajectories,
            before=before,
            batched=controls.batched,
            harm=harm,
            left=left,
            by_minimize=by_minimize,
        )

        # --- verdict ---
        diagnosis = diagnose(evidence)

        # --- record ---
        tracker.log(metrics)
        tracker.tag(diagnosis_tags(diagnosis))
        artifacts = Path(scratch, "artifacts")
        write_artifacts(
            artifacts,
            settings,
            identity,
            model,
            diagnosis,
            last_averages=last_averages,
            trajectories=trajectories,
            estimators=estimators,
        )
        tracker.artifacts(artifacts)
    result = Result(tracker.run_id, metrics, diagnosis.verdict, note)
    if not quiet:
        _report(result, diagnosis, identity, tracker, device_line)
    return result


def _remark(line: str) -> None:
    console = get_console()
    console.print(line, style="dim", highlight=False, markup=False, soft_wrap=not console.is_terminal)


def _report(result: Result, diagnosis: Diagnosis, identity: Identity, tracker: Tracker, device_line: str) -> None:
    console = get_console()
    if result.note:
        console.print(result.note, highlight=False)
    print_report(
        console,
        title=identity.title,
        metrics=result.metrics,
        diagnosis=diagnosis,
        run_id=result.run_id,
        where=tracker.where(result.run_id),
        device=device_line,
    )


def _shared_folder(settings: Settings, dataset: Dataset) -> Path | None:
    """Returns the folder in which a sweep's jobs share this training; None if they share none."""
    folder = os.environ.get(names.SHARED_VARIABLE)
    return Path(folder, training_key(settings, dataset)) if folder and settings.reuse else None
