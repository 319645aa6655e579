"""Training as a generator of snapshots, each with what the steps since the last one recorded."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from math import ceil
from time import perf_counter

import numpy as np

from bnexp.dataset import Dataset, batch_indices
from bnexp.engine.model import WORTH_COMPILING, Model, Steps
from bnexp.statistics.moments import Moments, pooled

SNAPSHOTS = 20

# the number of held-out examples that are predicted at a snapshot
MONITORED = 500

# examples on which the population is measured at a snapshot; the error of a mean is about 1/32 standard deviation
POPULATION_SAMPLE = 1024

# percentiles of a unit's input, those of the paper's figure 1
PERCENTILES = (15, 50, 85)

# the most bytes of statistics recorded between two snapshots; runs that record more take more snapshots
SNAPSHOT_BYTES = 2**28


# the most steps in one call into TensorFlow; signals are handled only after it has returned
LONGEST_CALL = 500


@dataclass(frozen=True)
class Snapshot:
    """What training recorded since the last snapshot, and measurements with the present weights.

    Attributes:
        step: the number of training steps done.
        steps: what the steps since the last snapshot recorded.
        population: the moments of each layer's input by layer, [channels] float64, measured with the present weights in
            training mode on a fixed sample of the training set: what the moving statistics should be.
        monitored: the accuracy on the first MONITORED examples of the test set, run as the variant's users run it
            during training; with some variants that changes the moving statistics.
        percentiles: the values at PERCENTILES of the first channel of each layer's output by layer, [3] float64, in
            training mode on the same sample.
        seconds: the wall-clock time of the steps, with compilation and without the measurements.
    """

    step: int
    steps: Steps
    population: Mapping[str, Moments]
    monitored: float
    percentiles: Mapping[str, np.ndarray]
    seconds: float


def train(
    model: Model, dataset: Dataset, *, batch_size: int, steps: int, seed: int, start: int = 0
) -> Generator[Snapshot, None, None]:
    """Trains a model and yields a snapshot at each of `snapshot_steps`.

    Args:
        model: the model to train, changed in place.
        dataset: the dataset whose training set is read; some test examples are predicted at each snapshot.
        batch_size: the number of examples in a training batch.
        steps: the number of steps of the whole training.
        seed: decides the order of the examples; a step's batch depends only on it and on the step's number.
        start: the number of steps done before, 0 or one of `snapshot_steps`.

    Example:
        >>> [snapshot.step for snapshot in train(model, dataset, batch_size=60, steps=4, seed=0)]
        [1, 2, 3, 4]
    """
    examples = len(dataset.x_train)
    sample = sample_rows(examples, batch_size, seed=seed)
    marks = snapshot_steps(model, steps)
    calls = loop_length(model, steps)
    for begin, end in zip([0, *marks], marks, strict=False):
        if end <= start:
            continue
        rows = batch_indices(examples, batch_size, start=begin, stop=end, seed=seed)
        started = perf_counter()
        recorded = model.train(dataset.x_train, dataset.y_train, rows, calls=calls)
        seconds = perf_counter() - started
        monitored = watch(model, dataset)
        population, percentiles = measure(model, dataset.x_train, sample)
        yield Snapshot(end, recorded, population, monitored, percentiles, seconds)


def snapshot_steps(model: Model, steps: int) -> list[int]:
    """Returns the steps after which a snapshot is taken, about twenty; the last is `steps`.

    Args:
        model: the model to train; if it has many channels there are more snapshots, each of fewer recorded bytes.
        steps: the number of steps of the whole training.

    Example:
        >>> snapshot_steps(model, 1000)[:3]
        [50, 100, 150]
    """
    count = min(steps, max(SNAPSHOTS, ceil(steps * _recorded_bytes(model) / SNAPSHOT_BYTES)))
    return [round(steps * (i + 1) / count) for i in range(count)]


def loop_length(model: Model, steps: int) -> int | None:
    """Returns the most steps in one call into TensorFlow; None if the training is too short to be compiled.

    The length does not depend on `steps` otherwise, so that another training of the network is not compiled again.

    Args:
        model: the model to train; the more channels it has, the fewer steps are recorded in one call.
        steps: the number of steps of the whole training.

    Example:
        >>> loop_length(model, 1000), loop_length(model, 50)
        (500, None)
    """
    if steps < WORTH_COMPILING:
        return None
    return max(1, min(LONGEST_CALL, SNAPSHOT_BYTES // max(1, _recorded_bytes(model))))


def _recorded_bytes(model: Model) -> int:
    """Returns the size in bytes of the statistics that one step records."""
    return sum(4 * 4 * moments.mean.size for moments in model.moving_statistics().values())


def sample_rows(examples: int, batch_size: int, *, seed: int) -> np.ndarray:
    """Returns the examples that are measured at every snapshot, in full batches: [batches, batch_size] int32.

    Args:
        examples: the number of examples in the training set.
        batch_size: the number of examples in a training batch.
        seed: decides which examples are drawn.

    Example:
        >>> sample_rows(2000, 60, seed=0).shape
        (17, 60)
    """
    count = max(1, min(POPULATION_SAMPLE, examples) // batch_size) * batch_size
    return np.random.default_rng([seed, 1]).permutation(examples)[:count].astype(np.int32).reshape(-1, batch_size)


def watch(model: Model, dataset: Dataset) -> float:
    """Returns the accuracy on the first MONITORED test examples, run as the variant's users run them during training.

    With some variants this changes the moving statistics, and they are left changed.

    Args:
        model: the model in training.
        dataset: the dataset whose test set is read.

    Example:
        >>> 0 <= watch(model, dataset) <= 1
        True
    """
    labels = dataset.y_test[:MONITORED]
    return float(np.mean(model.monitor(dataset.x_test, len(labels)).argmax(axis=-1) == labels))


def measure(model: Model, inputs: np.ndarray, rows: np.ndarray) -> tuple[dict[str, Moments], dict[str, np.ndarray]]:
    """Measures a sample in training mode, and leaves every variable as it was.

    Args:
        model: the model to measure.
        inputs: the training examples, [examples, ...] float32.
        rows: the indices of the sample's examples, [batches, batch] int32.

    Returns:
        By layer, the pooled moments of its input, [channels] float64; and by layer, the values at PERCENTILES of the
        first channel of its output, [3] float64.

    Example:
        >>> population, percentiles = measure(model, dataset.x_train, sample_rows(1442, 60, seed=0))
        >>> population["bn1"].mean.shape, percentiles["bn1"].shape
        ((100,), (3,))
    """
    batches, units = model.sample(inputs, rows)
    with np.errstate(invalid="ignore"):  # after divergence, moments may be infinite or NaN
        population = {layer: pooled(moments) for layer, moments in batches.items()}
    return population, {layer: np.percentile(values, PERCENTILES) for layer, values in units.items()}
