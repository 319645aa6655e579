"""Layer by layer: each layer's input is measured with the layers before it already in inference mode.

    for layer in network:
        statistics[layer] = moments of the layer's input     # the layers before it use theirs

1. A layer's input depends only on the layers before it, so that every layer ends up with the moments of exactly the
   inputs that it meets at inference.
2. It takes one pass over the training set for each layer.
3. `batch_size` and `seed` make no difference.

References:
  [1] mila-iqia/blocks, pull request 513, notes that Algorithm 2 of the paper would need this.
"""

from collections.abc import Mapping

import numpy as np

from bnexp.engine.model import Model
from bnexp.final_pass import INFERENCE_BATCH
from bnexp.statistics.moments import Moments, pooled


def layerwise(model: Model, inputs: np.ndarray, *, batch_size: int, seed: int) -> Mapping[str, Moments]:
    """Returns the pooled moments of each layer's input in inference mode, measured from the first layer on.

    Args:
        model: the trained network; it is left as it was.
        inputs: the training examples, [examples, ...] float32.
        batch_size: has no effect, since no layer normalises with its batch.
        seed: has no effect, since moments do not depend on the order.

    Returns:
        The mean and variance [channels] float64 of every layer that keeps statistics.

    Example:
        >>> model.assign_moving_statistics(layerwise(model, dataset.x_train, batch_size=60, seed=0))
    """
    statistics: dict[str, Moments] = {}
    order = np.arange(len(inputs))
    with model.untouched():
        for layer in model.layers:
            model.assign_moving_statistics(statistics)
            batches = model.input_moments(inputs, order, batch_size=INFERENCE_BATCH, batch_mode=False, layers=[layer])
            statistics[layer] = pooled(batches[layer])
    return statistics
