"""How cost grows with steps, channels, layers, batch, test set and jobs; each in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """Costs at several sizes.

    Attributes:
        title: what is done.
        what: the name of the size.
        unit: of the costs.
        sizes: rising.
        costs: as many.
    """

    title: str
    what: str
    unit: str
    sizes: Sequence[int]
    costs: Sequence[float]

    @property
    def exponent(self) -> float:
        """The power of the size that the costs follow over the upper half, where fixed costs weigh least."""
        upper = slice(len(self.sizes) // 2 - 1, None)
        slope, _ = np.polyfit(np.log(self.sizes[upper]), np.log(self.costs[upper]), 1)
        return float(slope)
