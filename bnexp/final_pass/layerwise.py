"""Layer by layer: each layer is measured with the layers before it already in inference mode.

    for layer in network:  statistics[layer] = population of the layer's input, layers before it using theirs

What a layer's input looks like at inference depends on the layers before it alone, so after the last one every layer's
statistics are those of exactly the inputs it will meet. One pass a layer; the batch size makes no difference.

References:
  [1] mila-iqia/blocks, pull request 513, notes that Algorithm 2 of the paper would need this.
"""

from collections.abc import Mapping

import numpy as np

from bnexp.final_pass import INFERENCE_BATCH
from bnexp.model import Model
from bnexp.moments import Moments, pooled


def layerwise(model: Model, inputs: np.ndarray, *, batch_size: int, seed: int) -> Mapping[str, Moments]:
    """Returns the pooled moments of each layer's input in inference mode, first layer first."""
    statistics: dict[str, Moments] = {}
    order = np.arange(len(inputs))
    with model.untouched():
        for layer in model.layers:
            model.assign_moving_statistics(statistics)
            batches = model.input_moments(inputs, order, batch_size=INFERENCE_BATCH, batch_mode=False, layers=[layer])
            statistics[layer] = pooled(batches[layer])
    return statistics
