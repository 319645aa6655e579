"""All names that other processes or stores see: environment variables, and the tags and metrics of a run.

They are read by other processes, by other versions of bnexp, and by users' dashboards: names may be added here, but not
changed.
"""

from collections.abc import Iterable

# --- environment variables that the process that leads a sweep sets for its jobs ---

# the run id of the sweep's parent run
PARENT_VARIABLE = "BNEXP_PARENT_RUN_ID"
# the number of jobs in the sweep; 0 if it is not known
JOBS_VARIABLE = "BNEXP_SWEEP_JOBS"
# the folder of the trainings that the jobs share
SHARED_VARIABLE = "BNEXP_SHARED_TRAININGS"

# --- overrides: the beginnings of those that tell no run from another ---

UNTELLING = ("tracking.", "resume=", "verbose=")

# --- tags of a run ---

# the key of one attempt, by which a store is asked whether it has that run already; and, by MLflow's own name, the id
# of a job's parent run
KEY_TAG, PARENT_TAG = "bnexp.key", "mlflow.parentRunId"
# the key that all attempts at one run share, and no other runs
JOB_TAG = "bnexp.job"
# the line that says which device was used; the run whose weights were restored; the run whose training a job shares
DEVICE_TAG, RESTORED_TAG, SHARED_TAG = "bnexp.device", "bnexp.restored_from", "bnexp.shared_training_with"
# why a custom layer ran in another engine than the one that was asked for
ENGINE_TAG = "bnexp.engine"
# the diagnosis: the verdict, the other verdicts that apply, the sentence, the document of the mistake, and the cure
VERDICT_TAG, ALSO_TAG = "bnexp.verdict", "bnexp.also"
SENTENCE_TAG, DOCUMENT_TAG, CURE_TAG = "bnexp.sentence", "bnexp.document", "bnexp.cure"
# what MLflow shows as the run's description
NOTE_TAG = "mlflow.note.content"
# why a run did not finish; how many times it was continued
ERROR_TAG, RESUMED_TAG = "bnexp.error", "bnexp.resumed"
# tags of a sweep's parent run: its command line, Hydra's folder, the key that all starts of the sweep share, its best
# job's name and run id, and why its report or its plots are missing
SWEEP_TAG, SWEEP_FOLDER_TAG, SWEEP_KEY_TAG = "bnexp.sweep", "bnexp.sweep.dir", "bnexp.sweep.key"
BEST_TAG, BEST_RUN_TAG, UNDRAWN_TAG = "bnexp.sweep.best", "bnexp.sweep.best_run", "bnexp.undrawn"

# tags that say how a run ended; they are removed when the run is continued
OUTCOME_TAGS = (ERROR_TAG, UNDRAWN_TAG)

# --- metrics by step ---

TRAIN_LOSS, TRAIN_ACCURACY, MONITORED = "train/loss", "train/accuracy", "monitor/accuracy"
# metrics `moving/<layer>/<kind>`: how far the moving statistics are from the population, see `moving_metric`
MOVING, MEAN_ERROR, VARIANCE_RATIO = "moving/", "mean_error", "variance_ratio"

# --- final metrics ---

ACCURACY, ACCURACY_BEFORE = "test/accuracy", "test/accuracy_before_final_pass"
ACCURACY_BATCHED, ACCURACY_BATCH_STATISTICS = "test/accuracy_batched", "test/accuracy_batch_statistics"
FLIPS, MOVED = "test/flips", "test/moved"
TRAIN_SECONDS, TEST_SECONDS = "train/seconds", "test/seconds"
# metrics `final_pass/<layer>/<kind>`, see `residual_metric`
RESIDUAL_MEAN, RESIDUAL_VARIANCE = "residual_mean", "residual_variance"
# of the estimators: the decay with the best accuracy, that accuracy, and the accuracy with the population's statistics
BEST_DECAY, BEST_DECAY_ACCURACY = "ladder/best_decay", "ladder/best_accuracy"
POPULATION_ACCURACY = "ladder/population_accuracy"
# of the harm: the accuracy with the population's statistics on the whole test set, what they gain, and the standard
# error of that gain, paired by example
HARM_ACCURACY = "test/accuracy_population_statistics"
HARM_GAIN, HARM_ERROR = "test/population_gain", "test/population_gain_error"
SWEEP_FINISHED, SWEEP_UNFINISHED, SWEEP_BEST = "sweep/finished", "sweep/unfinished", "sweep/best_accuracy"

# the metric by which runs are compared, and which a search maximises
HEADLINE = ACCURACY


def telling_overrides(overrides: Iterable[str]) -> list[str]:
    """Returns the overrides that tell one run from another: not where it is tracked, for example.

    Args:
        overrides: of the command line, as they were written.

    Example:
        >>> telling_overrides(["variant=ema", "tracking.uri=sqlite:///x.db", "resume=true"])
        ['variant=ema']
    """
    return [override for override in overrides if not override.lstrip("+").startswith(UNTELLING)]


def moving_metric(layer: str, kind: str) -> str:
    """Returns the name of a metric that says how far a layer's moving statistics are from the population's.

    Args:
        layer: the layer's name in the network, `"bn1"`.
        kind: `MEAN_ERROR` (in population standard deviations) or `VARIANCE_RATIO` (1 is right).

    Example:
        >>> moving_metric("bn1", MEAN_ERROR)
        'moving/bn1/mean_error'
    """
    return f"{MOVING}{layer}/{kind}"


def layer_of_moving_metric(name: str) -> str | None:
    """Returns the layer in a name that `moving_metric` made; None for any other metric.

    Args:
        name: the name of a metric.

    Example:
        >>> layer_of_moving_metric("moving/bn1/mean_error"), layer_of_moving_metric("test/accuracy")
        ('bn1', None)
    """
    return name.removeprefix(MOVING).rpartition("/")[0] if name.startswith(MOVING) else None


def residual_metric(layer: str, kind: str) -> str:
    """Returns the name of a metric that says how far a layer's statistics are from its inputs after the final pass.

    Args:
        layer: the layer's name in the network, `"bn1"`.
        kind: `RESIDUAL_MEAN` (in standard deviations) or `RESIDUAL_VARIANCE` (as a fraction).

    Example:
        >>> residual_metric("bn1", RESIDUAL_MEAN)
        'final_pass/bn1/residual_mean'
    """
    return f"final_pass/{layer}/{kind}"


def unit_metric(layer: str, percentile: int) -> str:
    """Returns the name of the metric for a percentile of a layer's first output channel.

    Args:
        layer: the layer's name in the network, `"bn1"`.
        percentile: the percentile, in [0, 100].

    Example:
        >>> unit_metric("bn1", 50)
        'unit/bn1/p50'
    """
    return f"unit/{layer}/p{percentile}"
