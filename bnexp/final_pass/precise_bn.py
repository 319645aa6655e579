"""Precise BN: the pooled moments of each layer's input with the final weights, every layer in batch mode.

    mean = E[x],  variance = E[(x - mean)**2]        # over the whole training set, ddof 0

1. One pass. Layer k+1 is measured while layer k still normalises with its batch, and so not on what it is fed at
   inference. `layerwise` closes that gap; the logged residuals show how wide it is.
2. What the layers after the first are fed depends on which examples share a batch, and so on `batch_size` and `seed`.

References:
  [1] Wu and Johnson. Rethinking "Batch" in BatchNorm. 2021. https://arxiv.org/abs/2105.07576, section 3.
  [2] fvcore/nn/precise_bn.py pools in the same way, in float32.
"""

from collections.abc import Mapping

import numpy as np

from bnexp.engine.model import Model
from bnexp.final_pass import shuffled
from bnexp.statistics.moments import Moments, pooled


def precise_bn(model: Model, inputs: np.ndarray, *, batch_size: int, seed: int) -> Mapping[str, Moments]:
    """Returns the pooled moments of each layer's input over one shuffled epoch in batch mode.

    Args:
        model: the trained network; it is left as it was.
        inputs: the training examples, [examples, ...] float32.
        batch_size: the number of examples that are normalised together; the last batch may be smaller.
        seed: decides the order of the examples.

    Returns:
        The mean and variance [channels] float64 of every layer that keeps statistics.

    Example:
        >>> model.assign_moving_statistics(precise_bn(model, dataset.x_train, batch_size=60, seed=0))
    """
    with model.untouched():
        batches = model.input_moments(
            inputs, shuffled(inputs, seed), batch_size=batch_size, batch_mode=True, layers=model.layers
        )
    return {layer: pooled(moments) for layer, moments in batches.items()}
