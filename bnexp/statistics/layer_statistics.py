"""The statistics that training records for one layer, and their names in a file of arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from bnexp.statistics.moments import Moments


@dataclass(frozen=True)
class LayerStatistics:
    """A layer's statistics, one row for each training step.

    Attributes:
        batch_mean: the mean of the layer's input over each step's batch, [steps, channels] float32.
        batch_variance: the variance (ddof 0) of the layer's input over each step's batch, [steps, channels] float32.
        moving_mean: the moving mean after each step, [steps, channels] float32; None if the layer keeps no statistics.
        moving_variance: the moving variance after each step, [steps, channels] float32; None with `moving_mean`.

    Example:
        >>> statistics = LayerStatistics(np.zeros([20, 3], "float32"), np.ones([20, 3], "float32"))
        >>> statistics.moving is None, list(statistics.arrays())
        (True, ['batch_mean', 'batch_variance'])
    """

    batch_mean: np.ndarray
    batch_variance: np.ndarray
    moving_mean: np.ndarray | None = None
    moving_variance: np.ndarray | None = None

    @property
    def moving(self) -> Moments | None:
        """Returns the moving mean and variance, each [steps, channels] float32; None if the layer keeps none."""
        if self.moving_mean is None or self.moving_variance is None:
            return None
        return Moments(self.moving_mean, self.moving_variance)

    @property
    def batch(self) -> Moments:
        """Returns the mean and variance of the batches, each [steps, channels] float32."""
        return Moments(self.batch_mean, self.batch_variance)

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns the arrays that are not None, by the names of the attributes."""
        return {name: array for name in STATISTICS if (array := getattr(self, name)) is not None}

    def rows(self, chosen: np.ndarray) -> Self:
        """Returns the statistics of some of the steps.

        Args:
            chosen: the steps to keep: a mask [steps] bool, or row numbers [kept] int.
        """
        return type(self)(**{name: array[chosen] for name, array in self.arrays().items()})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Returns consecutive parts of a training as one, their rows concatenated.

        Args:
            parts: the statistics of one layer, in the order of the steps; all have the same arrays.
        """
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in parts[0].arrays()})


# the arrays of a layer, in the order in which a file holds them
STATISTICS = ("moving_mean", "moving_variance", "batch_mean", "batch_variance")


def to_arrays(layers: Mapping[str, LayerStatistics]) -> dict[str, np.ndarray]:
    """Returns the statistics of several layers as one mapping from `<layer>/<statistic>` to an array.

    Args:
        layers: the statistics by the layer's name, `"bn1"`.

    Example:
        >>> list(to_arrays({"bn1": LayerStatistics(mean, variance)}))
        ['bn1/batch_mean', 'bn1/batch_variance']
    """
    return {
        f"{layer}/{name}": array for layer, statistics in layers.items() for name, array in statistics.arrays().items()
    }


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, LayerStatistics]:
    """Returns the statistics by layer; the inverse of `to_arrays`.

    Args:
        arrays: arrays [steps, channels] by `<layer>/<statistic>`; a layer's name may hold slashes itself.

    Example:
        >>> from_arrays({"bn1/batch_mean": mean, "bn1/batch_variance": variance})["bn1"].moving is None
        True
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, _, statistic = name.rpartition("/")
        found.setdefault(layer, {})[statistic] = array
    return {layer: LayerStatistics(**statistics) for layer, statistics in found.items()}
