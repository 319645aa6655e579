"""The accuracy with other moving averages of the same training: the same weights, each estimator's statistics.

Where a variant's own average lags, this shows which decay would have been fast enough; where all of them stay below the
accuracy with the population's statistics, none would.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bnexp.engine.model import Model
from bnexp.evaluation.evaluate import evaluate
from bnexp.names import BEST_DECAY, BEST_DECAY_ACCURACY, POPULATION_ACCURACY
from bnexp.statistics.moments import Moments
from bnexp.training.averages import DECAYS, AveragesByDecay, Estimator

# test examples evaluated with each estimator: forty evaluations of a whole test set would take longer than the training
# of a convolutional network
EXAMPLES = 2000


@dataclass(frozen=True)
class Estimators:
    """The test accuracy with each estimator of the moving statistics.

    Attributes:
        table: one row per estimator, with the columns `decay`, `ddof`, `zero_debias` and `accuracy` (a fraction).
        population: the accuracy with the population's statistics, measured on a sample of the training set with the
            final weights.
    """

    table: pd.DataFrame
    population: float

    @property
    def best(self) -> tuple[float, float]:
        """Returns the decay whose plain average of biased variances gives the best accuracy, and that accuracy.

        Of several decays that are equally good it is the largest, which averages the most batches.
        """
        plain = self.table[(self.table["ddof"] == 0) & ~self.table["zero_debias"]]
        best = plain[plain["accuracy"] == plain["accuracy"].max()]["decay"].max()
        return float(best), float(plain["accuracy"].max())

    def metrics(self) -> dict[str, float]:
        """Returns the best decay, its accuracy and the accuracy with the population's statistics, by MLflow names."""
        decay, accuracy = self.best
        return {BEST_DECAY: decay, BEST_DECAY_ACCURACY: accuracy, POPULATION_ACCURACY: self.population}


def evaluate_estimators(
    averages: AveragesByDecay,
    model: Model,
    population: Mapping[str, Moments],
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    decays: Sequence[float] = DECAYS,
) -> Estimators:
    """Evaluates the network with every estimator's statistics, and leaves it as it was.

    Args:
        averages: the batch moments of the training, averaged with every decay.
        model: the trained network.
        population: the moments of each layer's input with the final weights, [channels], by layer.
        inputs: the test examples, [examples, ...] float32; only the first EXAMPLES are used.
        labels: their classes, [examples] int32.
        batch_size: the number of examples in an evaluation batch; a large one is faster, and may be used where it is
            known to give the same predictions as 1.
        decays: the decays to evaluate, some of DECAYS.

    Returns:
        The accuracy with each decay, with biased and Bessel-corrected variances, plain and zero-debiased, and with the
        population's statistics.

    Example:
        >>> estimators = evaluate_estimators(training.averages, model, population, x_test, y_test, batch_size=1)
        >>> len(estimators.table)
        40
    """
    estimators = [Estimator(decay, ddof, debias) for decay in decays for ddof in (0, 1) for debias in (False, True)]
    rows = []
    # sliced only once, since engines keep a copy of each array on the device
    inputs, labels = inputs[:EXAMPLES], labels[:EXAMPLES]

    def accuracy_with(statistics: Mapping[str, Moments]) -> float:
        model.assign_moving_statistics(statistics)
        return evaluate(model, inputs, labels, batch_size=batch_size).accuracy

    with model.untouched():
        for estimator in estimators:
            accuracy = accuracy_with(averages.statistics(estimator))
            rows.append({**vars(estimator), "accuracy": accuracy})
        return Estimators(pd.DataFrame(rows), accuracy_with(population))
