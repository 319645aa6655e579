"""Evaluation: every example counted, one batch size, and a look at what evaluating did to the moving statistics."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from bnexp.model import Model


@dataclass(frozen=True)
class Evaluation:
    """What a network says of the test set.

    Attributes:
        predictions: [examples] int64, the class of each example; -1 where the network's outputs are not finite.
        accuracy: fraction of `predictions` that are right.
        moved: largest absolute change of any moving statistic between before and after; 0 for every right variant.
        seconds: wall-clock time of the predictions, compilation included.
    """

    predictions: np.ndarray
    accuracy: float
    moved: float
    seconds: float


def evaluate(
    model: Model, inputs: np.ndarray, labels: np.ndarray, *, batch_size: int, batch_mode: bool = False
) -> Evaluation:
    """Predicts every example, `batch_size` at a time and in order, and leaves every variable as it was.

    A leaking variant does change its statistics from batch to batch, and its predictions are those that the leak gives;
    only afterwards is everything put back, so that each evaluation starts from the same network.

    Args:
        model: the network.
        inputs: [examples, ...] float32.
        labels: [examples] int32.
        batch_size: examples normalised together where a variant, or `batch_mode`, looks at the batch.
        batch_mode: normalise with the batch, as in training: what a forgotten flag gives.
    """
    with model.untouched():
        before = model.moving_statistics()
        started = perf_counter()
        outputs = model.predict(inputs, batch_size=batch_size, batch_mode=batch_mode)
        seconds = perf_counter() - started
        after = model.moving_statistics()
    predictions = np.where(np.isfinite(outputs).all(axis=-1), outputs.argmax(axis=-1), -1)
    changes = [
        _change(getattr(before[layer], statistic), getattr(after[layer], statistic))
        for layer in before
        for statistic in ("mean", "variance")
    ]
    return Evaluation(predictions, float(np.mean(predictions == labels)), max(changes, default=0.0), seconds)


def _change(before: np.ndarray, after: np.ndarray) -> float:
    """Returns the largest absolute change; what stayed infinite or NaN, in a network that diverged, has not moved."""
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    return float(np.abs(np.subtract(after, before, where=~same, out=np.zeros_like(before))).max())
