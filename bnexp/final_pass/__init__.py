"""What happens to the moving statistics between training and inference.

A final pass measures the population of each layer's input and *returns* it; `run.py` assigns it with a visible line. It
changes no variable, so accuracy before and after it is measured with identical weights.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from bnexp.model import Model
from bnexp.moments import Moments, pooled

# at inference the batch size changes nothing but speed
INFERENCE_BATCH = 500


class FinalPass(Protocol):
    """Returns the statistics that inference shall use."""

    def __call__(self, model: Model, inputs: np.ndarray, *, batch_size: int, seed: int) -> Mapping[str, Moments]:
        """Measures `inputs` [examples, ...] float32, the whole training set, in batches of `batch_size`.

        Returns:
            Statistics by layer; layers left out keep their last moving average.
        """
        ...


def shuffled(inputs: np.ndarray, seed: int) -> np.ndarray:
    """Returns every example of `inputs` once, in an order that only the seed decides: training's mixture of classes."""
    return np.random.default_rng([seed, 2]).permutation(len(inputs))


def residuals(model: Model, inputs: np.ndarray) -> dict[str, Moments]:
    """Measures how far the assigned statistics are from what inference meets.

    Returns:
        By layer, the distance of the moving mean from the mean of the layer's input in inference mode over `inputs`, in
        standard deviations, and of the moving variance from its variance, as a fraction of it: [channels] float64.
        A channel that never varies has no such unit and counts as 0 where the two agree, as infinite where they do not.
    """
    assigned = model.moving_statistics()
    order = np.arange(len(inputs))
    with model.untouched():
        batches = model.input_moments(inputs, order, batch_size=INFERENCE_BATCH, batch_mode=False, layers=model.layers)
    return {layer: _relative(assigned[layer], pooled(moments)) for layer, moments in batches.items()}


def _relative(assigned: Moments, population: Moments) -> Moments:
    def in_units(distance: np.ndarray, unit: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            # 0 units of nothing is agreement; anything else of nothing is infinitely far, and NaN stays NaN
            return np.where(distance == 0, 0.0, distance / unit)

    return Moments(
        in_units(np.abs(assigned.mean - population.mean), np.sqrt(population.variance)),
        in_units(np.abs(assigned.variance - population.variance), population.variance),
    )
