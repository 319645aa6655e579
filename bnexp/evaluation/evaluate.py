"""Evaluation on the whole test set, which also measures whether evaluating moved the moving statistics."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
import tensorflow as tf

from bnexp import names
from bnexp.dataset import Dataset
from bnexp.engine.model import Model
from bnexp.errors import first_line

# examples per batch of the control evaluation in large batches
LARGE_BATCH = 1000


@dataclass(frozen=True)
class Evaluation:
    """A network's predictions for the test set, and what they cost.

    Attributes:
        predictions: the predicted class of each example, [examples] int64; -1 where the outputs are not finite.
        accuracy: the fraction of the predictions that are right.
        moved: the largest absolute change of any moving statistic by predicting; 0 for every right variant.
        seconds: the wall-clock time of the predictions, with compilation.
    """

    predictions: np.ndarray
    accuracy: float
    moved: float
    seconds: float


@dataclass(frozen=True)
class Controls:
    """Three evaluations of a trained network after its final pass, which tell right variants from wrong ones.

    Attributes:
        headline: the evaluation in inference mode at eval_batch_size; its accuracy is what runs are compared by.
        batched: the evaluation in inference mode in batches of LARGE_BATCH; it gives the same predictions unless
            inference uses its batch.
        batch_statistics: the evaluation in batch mode at eval_batch_size, as with a forgotten training flag; None if
            the layer cannot train on so few examples, as one that splits its batch cannot on a single one.
        left_out: why there are no `batch_statistics`; empty if there are.
    """

    headline: Evaluation
    batched: Evaluation
    batch_statistics: Evaluation | None
    left_out: str = ""

    @property
    def flips(self) -> int:
        """Returns the number of predictions that differ between `headline` and `batched`."""
        return int(np.sum(self.headline.predictions != self.batched.predictions))

    @property
    def batch_matters(self) -> bool:
        """Tells whether inference depends on the batch size: large batches change predictions, or statistics moved."""
        return self.flips > 0 or self.headline.moved != 0

    def metrics(self) -> dict[str, float]:
        """Returns the final metrics of the three evaluations by their MLflow names."""
        return {
            names.ACCURACY: self.headline.accuracy,
            names.ACCURACY_BATCHED: self.batched.accuracy,
            **({names.ACCURACY_BATCH_STATISTICS: self.batch_statistics.accuracy} if self.batch_statistics else {}),
            names.FLIPS: float(self.flips),
            names.MOVED: self.headline.moved,
            names.TEST_SECONDS: self.headline.seconds,
        }


def evaluate_controls(model: Model, dataset: Dataset, *, eval_batch_size: int) -> Controls:
    """Evaluates a network at eval_batch_size, in large batches, and with batch statistics.

    Args:
        model: the network after its final pass; it is left as it was.
        dataset: the dataset whose test set is predicted.
        eval_batch_size: the number of examples in a batch of `headline` and of `batch_statistics`.

    Example:
        >>> evaluate_controls(model, dataset, eval_batch_size=1).metrics()["test/flips"]
        0.0
    """
    inputs, labels = dataset.x_test, dataset.y_test
    headline = evaluate(model, inputs, labels, batch_size=eval_batch_size)
    batched = evaluate(model, inputs, labels, batch_size=LARGE_BATCH)
    try:
        as_in_training = evaluate(model, inputs, labels, batch_size=eval_batch_size, batch_mode=True)
    except (tf.errors.OpError, ValueError) as error:  # of an op that is run, or whose shapes are already known
        why = f"by batch statistics: left out, the layer cannot be run in training mode on {eval_batch_size} at a time"
        return Controls(headline, batched, None, f"{why} ({first_line(error)})")
    return Controls(headline, batched, as_in_training)


def evaluate(
    model: Model, inputs: np.ndarray, labels: np.ndarray, *, batch_size: int, batch_mode: bool = False
) -> Evaluation:
    """Predicts every example in order, `batch_size` at a time, and leaves every variable as it was.

    A variant that leaks changes its statistics from batch to batch, and its predictions show that; the variables are
    restored only after the last batch, so that every evaluation starts from the same network.

    Args:
        model: the network to evaluate.
        inputs: the test examples, [examples, ...] float32.
        labels: the right class of each example, [examples] int32.
        batch_size: the number of examples in a batch; it matters where a variant, or `batch_mode`, uses the batch.
        batch_mode: whether the layers normalise with the batch as in training, which a forgotten training flag does.

    Example:
        >>> evaluation = evaluate(model, dataset.x_test, dataset.y_test, batch_size=1)
        >>> evaluation.predictions.shape, evaluation.moved
        ((355,), 0.0)
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
    """Returns the largest absolute change; a value that stays infinite or NaN, as after divergence, counts as equal."""
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    return float(np.abs(np.subtract(after, before, where=~same, out=np.zeros_like(before))).max())
