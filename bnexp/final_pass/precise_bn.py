"""Precise BN: the pooled population moments of frozen weights, every layer in batch mode.

    mean = E[x],  variance = E[(x - mean)**2]        # over the whole training set, ddof 0

One pass. Layer k+1 is measured while layer k still normalises with its batch, which is not what inference will feed it:
`layerwise` closes that gap, and the logged residual shows how wide it is.

References:
  [1] Wu and Johnson. Rethinking "Batch" in BatchNorm. 2021. https://arxiv.org/abs/2105.07576, section 3.
  [2] fvcore/nn/precise_bn.py pools likewise, in float32.
"""

from collections.abc import Mapping

import numpy as np

from bnexp.final_pass import shuffled
from bnexp.model import Model
from bnexp.moments import Moments, pooled


def precise_bn(model: Model, inputs: np.ndarray, *, batch_size: int, seed: int) -> Mapping[str, Moments]:
    """Returns the pooled moments of each layer's input over one shuffled epoch in batch mode."""
    with model.untouched():
        batches = model.input_moments(
            inputs, shuffled(inputs, seed), batch_size=batch_size, batch_mode=True, layers=model.layers
        )
    return {layer: pooled(moments) for layer, moments in batches.items()}
