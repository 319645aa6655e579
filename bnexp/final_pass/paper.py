"""The paper's own estimate: mean of batch means, m/(m-1) times mean of batch variances.

It leaves out how far batch means lie from each other, except through m/(m-1), so it equals `precise_bn` in expectation
and not on any given data.

References:
  [1] Ioffe and Szegedy. Batch Normalization. 2015. https://arxiv.org/abs/1502.03167, Algorithm 2, lines 8-11.
"""

from collections.abc import Mapping

import numpy as np

from bnexp.final_pass import shuffled
from bnexp.model import Model
from bnexp.moments import Moments, mean_within


def paper(model: Model, inputs: np.ndarray, *, batch_size: int, seed: int) -> Mapping[str, Moments]:
    """Returns Algorithm 2's statistics of each layer's input over one shuffled epoch in batch mode."""
    with model.untouched():
        batches = model.input_moments(
            inputs, shuffled(inputs, seed), batch_size=batch_size, batch_mode=True, layers=model.layers
        )
    return {layer: mean_within(moments) for layer, moments in batches.items()}
