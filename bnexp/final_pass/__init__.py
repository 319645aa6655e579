"""Final passes: what replaces the moving statistics between training and inference.

A final pass measures the population of each layer's input and *returns* its moments; `bnexp/run.py` assigns them in one
visible line. A pass leaves every variable as it was, so accuracies before and after it are those of the same weights.

A final pass is one file here with a function of the same name, and one YAML of the same name in `conf/final_pass`.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from bnexp.engine.model import Model
from bnexp.names import RESIDUAL_MEAN, RESIDUAL_VARIANCE, residual_metric
from bnexp.statistics.moments import Moments, pooled

# examples per batch of a measurement in inference mode, where the batch size changes only the speed
INFERENCE_BATCH = 500


class FinalPass(Protocol):
    """Measures the statistics that inference shall use."""

    def __call__(self, model: Model, inputs: np.ndarray, *, batch_size: int, seed: int) -> Mapping[str, Moments]:
        """Measures each layer's input over the training set.

        Args:
            model: the trained network; it is left as it was.
            inputs: the training examples, [examples, ...] float32.
            batch_size: the number of examples that are normalised together where the pass runs in batch mode.
            seed: decides the order of the examples, and so which of them share a batch.

        Returns:
            The mean and variance [channels] by layer; a layer that is left out keeps its moving statistics.
        """
        ...


def shuffled(inputs: np.ndarray, seed: int) -> np.ndarray:
    """Returns the row numbers of all examples in random order, so that batches mix the classes as in training.

    Args:
        inputs: the examples, [examples, ...].
        seed: decides the order.

    Example:
        >>> sorted(shuffled(np.zeros([3, 2]), seed=0).tolist())
        [0, 1, 2]
    """
    return np.random.default_rng([seed, 2]).permutation(len(inputs))


def residuals(model: Model, inputs: np.ndarray) -> dict[str, Moments]:
    """Measures how far the moving statistics are from the moments of what the layers meet at inference.

    Args:
        model: the network with the statistics that inference uses; it is left as it was.
        inputs: the training examples, [examples, ...] float32.

    Returns:
        By layer, the distances between the moving statistics and the moments of the layer's input in inference mode,
        [channels] float64: `mean` in standard deviations, `variance` as a fraction of the variance. For a constant
        channel they are 0 if the two agree and infinite otherwise.

    Example:
        >>> residuals(model, dataset.x_train)["bn1"].mean.shape
        (100,)
    """
    assigned = model.moving_statistics()
    order = np.arange(len(inputs))
    with model.untouched():
        batches = model.input_moments(inputs, order, batch_size=INFERENCE_BATCH, batch_mode=False, layers=model.layers)
    return {layer: _relative(assigned[layer], pooled(moments)) for layer, moments in batches.items()}


def residual_metrics(model: Model, inputs: np.ndarray) -> dict[str, float]:
    """Returns the largest `residuals` of each layer by their MLflow names.

    Args:
        model: the network with the statistics that inference uses; it is left as it was.
        inputs: the training examples, [examples, ...] float32.

    Example:
        >>> list(residual_metrics(model, dataset.x_train))[:2]
        ['final_pass/bn1/residual_mean', 'final_pass/bn1/residual_variance']
    """
    metrics: dict[str, float] = {}
    for layer, residual in residuals(model, inputs).items():
        metrics[residual_metric(layer, RESIDUAL_MEAN)] = float(residual.mean.max())
        metrics[residual_metric(layer, RESIDUAL_VARIANCE)] = float(residual.variance.max())
    return metrics


def _relative(assigned: Moments, population: Moments) -> Moments:
    def in_units(distance: np.ndarray, unit: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            # with a unit of 0, a distance of 0 is agreement and any other is infinite; NaN stays NaN
            return np.where(distance == 0, 0.0, distance / unit)

    return Moments(
        in_units(np.abs(assigned.mean - population.mean), np.sqrt(population.variance)),
        in_units(np.abs(assigned.variance - population.variance), population.variance),
    )
