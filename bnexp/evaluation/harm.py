"""What the statistics that inference uses cost: the accuracy now, and with the population's statistics put in."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bnexp import names
from bnexp.dataset import Dataset
from bnexp.engine.model import Model
from bnexp.evaluation.evaluate import LARGE_BATCH, Controls, evaluate
from bnexp.statistics.moments import Moments


@dataclass(frozen=True)
class Harm:
    """The harm that a network's moving statistics do, measured on the same test examples with and without them.

    Attributes:
        accuracy: the accuracy at eval_batch_size with the statistics that inference uses, a fraction.
        population_accuracy: the accuracy with the population's statistics in their place; NaN if it was not measured.
        gain_error: the standard error of the gain, from the examples that only one of the two predicts rightly.
        flips: the number of predictions that large batches change.
    """

    accuracy: float
    population_accuracy: float
    gain_error: float
    flips: int

    @property
    def gain(self) -> float:
        """Returns what the population's statistics gain in accuracy; negative if they lose."""
        return self.population_accuracy - self.accuracy

    @property
    def matters(self) -> bool:
        """Tells whether the population's statistics gain more than two standard errors."""
        return self.gain > 2 * self.gain_error

    def metrics(self) -> dict[str, float]:
        """Returns the accuracy with the population's statistics, the gain and its standard error, by MLflow names."""
        return {
            names.HARM_ACCURACY: self.population_accuracy,
            names.HARM_GAIN: self.gain,
            names.HARM_ERROR: self.gain_error,
        }


def measure_harm(
    model: Model, population: Mapping[str, Moments], dataset: Dataset, controls: Controls, *, eval_batch_size: int
) -> Harm:
    """Predicts the test set with the population's statistics, and leaves the network as it was.

    Args:
        model: the network after its final pass.
        population: the moments of each layer's input with the final weights, [channels], by layer.
        dataset: the dataset whose test set is predicted.
        controls: the evaluations of the same test set with the statistics that inference uses.
        eval_batch_size: the number of examples in a batch where the batch matters to inference; elsewhere they are
            predicted in large ones, which gives the same and is faster.

    Example:
        >>> measure_harm(model, population, dataset, controls, eval_batch_size=1).flips
        0
    """
    now = controls.headline
    if not model.layers:
        return Harm(now.accuracy, float("nan"), float("nan"), controls.flips)
    with model.untouched():
        model.assign_moving_statistics(population)
        size = eval_batch_size if controls.batch_matters else LARGE_BATCH
        then = evaluate(model, dataset.x_test, dataset.y_test, batch_size=size)
    right = [evaluation.predictions == dataset.y_test for evaluation in (now, then)]
    difference = right[1].astype(np.float64) - right[0]
    error = float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else float("nan")
    return Harm(now.accuracy, then.accuracy, error, controls.flips)
