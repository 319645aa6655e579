"""The ways in which a layer may cut a batch into ghost batches."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cut:
    """One way to cut a batch.

    Attributes:
        parts: the number of ghost batches; 0 if their size is fixed.
        size: the number of examples in each; 0 if their number is fixed.
        contiguous: whether a ghost batch is of successive examples; otherwise it takes every second, third, ... one.
    """

    parts: int = 0
    size: int = 0
    contiguous: bool = False

    def rows(self, examples: int) -> list[np.ndarray]:
        """Returns the rows of each ghost batch; those without a row are left out.

        Args:
            examples: the number of examples in the batch.

        Example:
            >>> [rows.tolist() for rows in Cut(parts=2).rows(4)]
            [[0, 2], [1, 3]]
            >>> [rows.tolist() for rows in Cut(size=2, contiguous=True).rows(4)]
            [[0, 1], [2, 3]]
        """
        count = min(self.parts or max(examples // self.size, 1), examples)
        every = np.arange(examples)
        return np.array_split(every, count) if self.contiguous else [every[part::count] for part in range(count)]

    def moments(self, batch: np.ndarray, moment: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Returns a moment of each ghost batch, [ghost batches, channels].

        Args:
            batch: a layer's input, [batch, ..., channels].
            moment: returns the moment [channels] of a batch.
        """
        return np.array([moment(batch[rows]) for rows in self.rows(len(batch))])


CUTS = tuple(
    Cut(parts, size, contiguous)
    for contiguous in (False, True)
    for parts, size in ((2, 0), (4, 0), (8, 0), (0, 2), (0, 4), (0, 8), (0, 16), (0, 32), (0, 64), (0, 50))
)
