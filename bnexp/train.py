"""Training, as a sequence of snapshots: it yields what it measured and knows nothing of who reads it."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from math import ceil
from time import perf_counter

import numpy as np

from bnexp.dataset import Dataset, batch_indices
from bnexp.model import WORTH_COMPILING, Model, Steps
from bnexp.moments import Moments, pooled

SNAPSHOTS = 20

# held-out examples that are watched at a snapshot
MONITORED = 500

# examples on which the population is measured at a snapshot: error of a mean about 1/32 standard deviation
POPULATION_SAMPLE = 1024

# of what a unit is given, those that the paper's figure 1 shows
PERCENTILES = (15, 50, 85)

# the most bytes of statistics recorded between two snapshots; wide or long runs take more snapshots instead
SNAPSHOT_BYTES = 2**28


# the most steps in one call into TensorFlow; no signal is heard before it returns
LONGEST_CALL = 500


@dataclass(frozen=True)
class Snapshot:
    """What happened since the snapshot before, and where the moving statistics stand now.

    Attributes:
        step: training steps done.
        steps: what each step since the last snapshot recorded.
        population: of each layer's input with this moment's weights, in training mode, on a fixed sample of the
            training set: what the moving statistics ought to be.
        monitored: accuracy on the first MONITORED examples of the test set, watched the way the variant's users watch
            it; a right variant's statistics do not move by it.
        percentiles: of what the first unit behind each layer is given, in training mode on that sample: [3] float64,
            the values at PERCENTILES.
        seconds: time the steps took, compilation included, measuring not.
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
    """Trains from step `start` to step `steps` and yields a snapshot about twenty times.

    Args:
        model: changed in place.
        dataset: its training half is read.
        batch_size: examples a step.
        steps: the step to stop after.
        seed: decides the order of the examples, together with the step alone.
        start: steps done before; one of `snapshot_steps`.
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
    """Returns the steps after which a snapshot is taken; the last is `steps`."""
    count = min(steps, max(SNAPSHOTS, ceil(steps * _recorded_bytes(model) / SNAPSHOT_BYTES)))
    return [round(steps * (i + 1) / count) for i in range(count)]


def loop_length(model: Model, steps: int) -> int | None:
    """Returns how many steps of a training go into one call at most, None where it is too short to be compiled.

    The same for every training that is compiled, so that another of the same network is not compiled again.
    """
    if steps < WORTH_COMPILING:
        return None
    return max(1, min(LONGEST_CALL, SNAPSHOT_BYTES // max(1, _recorded_bytes(model))))


def _recorded_bytes(model: Model) -> int:
    """Returns the size of the statistics that a step records."""
    return sum(4 * 4 * moments.mean.size for moments in model.moving_statistics().values())


def sample_rows(examples: int, batch_size: int, *, seed: int) -> np.ndarray:
    """Returns the examples that are measured at every snapshot, in whole batches: [batches, batch_size] int32."""
    count = max(1, min(POPULATION_SAMPLE, examples) // batch_size) * batch_size
    return np.random.default_rng([seed, 1]).permutation(examples)[:count].astype(np.int32).reshape(-1, batch_size)


def watch(model: Model, dataset: Dataset) -> float:
    """Returns the accuracy on some held-out examples; the statistics of some variants move by it."""
    labels = dataset.y_test[:MONITORED]
    return float(np.mean(model.monitor(dataset.x_test, len(labels)).argmax(axis=-1) == labels))


def measure(model: Model, inputs: np.ndarray, rows: np.ndarray) -> tuple[dict[str, Moments], dict[str, np.ndarray]]:
    """Measures a sample in training mode, and leaves every variable as it was.

    Args:
        model: the network.
        inputs: [examples, ...] float32.
        rows: [batches, batch] int32, the sample.

    Returns:
        By layer, the pooled moments of its input, and the values at PERCENTILES, [3] float64, of what the first unit
        behind it is given.
    """
    batches, units = model.sample(inputs, rows)
    with np.errstate(invalid="ignore"):  # a network that diverged may have moments that float32 cannot hold
        population = {layer: pooled(moments) for layer, moments in batches.items()}
    return population, {layer: np.percentile(values, PERCENTILES) for layer, values in units.items()}
