"""The paper's estimate: the mean of the batch means, and m/(m-1) times the mean of the batch variances.

1. The variance between batch means enters only through the factor m/(m-1): the estimate equals that of `precise_bn` in
   expectation, but not on given data.
2. One pass. Layer k+1 is measured while layer k still normalises with its batch, as in `precise_bn`.
3. The estimate depends on which examples share a batch, and so on `batch_size` and `seed`.

References:
  [1] Ioffe and Szegedy. Batch Normalization. 2015. https://arxiv.org/abs/1502.03167, Algorithm 2, lines 8-11.
"""

from collections.abc import Mapping

import numpy as np

from bnexp.engine.model import Model
from bnexp.final_pass import shuffled
from bnexp.statistics.moments import Moments, mean_within


def paper(model: Model, inputs: np.ndarray, *, batch_size: int, seed: int) -> Mapping[str, Moments]:
    """Returns Algorithm 2's estimate for each layer's input over one shuffled epoch in batch mode.

    Args:
        model: the trained network; it is left as it was.
        inputs: the training examples, [examples, ...] float32.
        batch_size: the number m of examples that are normalised together; the last batch may be smaller.
        seed: decides the order of the examples.

    Returns:
        The mean and variance [channels] float64 of every layer that keeps statistics.

    Example:
        >>> model.assign_moving_statistics(paper(model, dataset.x_train, batch_size=60, seed=0))
    """
    with model.untouched():
        batches = model.input_moments(
            inputs, shuffled(inputs, seed), batch_size=batch_size, batch_mode=True, layers=model.layers
        )
    return {layer: mean_within(moments) for layer, moments in batches.items()}
