"""The statistics of a run step by step: collected, thinned if the run is long, and written to one .npz file."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from bnexp.statistics.layer_statistics import LayerStatistics, from_arrays, to_arrays
from bnexp.statistics.moments import Moments
from bnexp.storage.arrays import pack, prefixed, under, write_whole
from bnexp.training.loop import Snapshot

# the most bytes of statistics that a run keeps; one that would record more keeps only every second, third, ... step
MOST_BYTES = 2**26


@dataclass(frozen=True)
class Trajectories:
    """What a run recorded.

    Attributes:
        steps: the numbers of the training steps that are kept, from 1, [kept] int64; all of them unless the run is
            long.
        losses: the loss of each of these steps' batches before the update, [kept] float32.
        accuracies: the fraction of each of these batches that is predicted right, [kept] float32.
        layers: the statistics of each layer by layer, one row for each of these steps.
        populations: the population of each layer's input by layer, for each snapshot by its training step.
    """

    steps: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray
    layers: Mapping[str, LayerStatistics]
    populations: Mapping[int, Mapping[str, Moments]]

    @property
    def averaging_layers(self) -> list[str]:
        """Returns the names of the layers that keep moving statistics."""
        return [layer for layer, statistics in self.layers.items() if statistics.moving is not None]

    @property
    def last_population(self) -> Mapping[str, Moments]:
        """Returns the population of the last snapshot, with the final weights, by layer."""
        return list(self.populations.values())[-1]

    def population_arrays(self) -> dict[str, np.ndarray]:
        """Returns the populations as arrays.

        Returns:
            `snapshot_steps` [snapshots] int64 and, for each layer, `<layer>/population_mean` and
            `<layer>/population_variance` [snapshots, channels] float64.
        """
        arrays = {"snapshot_steps": np.array(list(self.populations))}
        for layer in self.layers:
            series = [population[layer] for population in self.populations.values()]
            arrays[f"{layer}/population_mean"] = np.array([moments.mean for moments in series])
            arrays[f"{layer}/population_variance"] = np.array([moments.variance for moments in series])
        return arrays

    def save(self, path: Path) -> None:
        """Writes everything to an .npz file, atomically.

        The arrays are `steps`, `loss`, `accuracy`, `<layer>/<statistic>` with a row for each step kept, and those of
        `population_arrays`; all statistics are float32.

        Args:
            path: the file to write.
        """
        with np.errstate(over="ignore"):  # after divergence, a variance may be too large for float32
            populations = {
                name: array.astype(np.float32) if array.dtype == np.float64 else array
                for name, array in self.population_arrays().items()
            }
        series = {"loss": self.losses, "accuracy": self.accuracies}
        write_whole(path, pack({"steps": self.steps, **series, **to_arrays(self.layers), **populations}))


class Recorder:
    """Collects snapshots into trajectories of at most about MOST_BYTES.

    Args:
        steps: the number of training steps of the whole run, which decides how many are kept.

    Example:
        >>> recorder = Recorder(4)
        >>> for snapshot in train(model, dataset, batch_size=60, steps=4, seed=0):
        ...     recorder.add(snapshot)
        >>> recorder.trajectories().steps
        array([1, 2, 3, 4])
    """

    def __init__(self, steps: int) -> None:
        self._total, self._stride = steps, 0
        self._parts: list[Trajectories] = []
        self._populations: dict[int, Mapping[str, Moments]] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Keeps the steps of the next snapshot, or only some of them if the run is long."""
        recorded = snapshot.steps
        if not self._stride:
            bytes_a_step = recorded.losses[0].nbytes + recorded.accuracies[0].nbytes
            bytes_a_step += sum(array[0].nbytes for array in to_arrays(recorded.layers).values())
            self._stride = ceil(self._total * bytes_a_step / MOST_BYTES)
        numbers = np.arange(snapshot.step - len(recorded.losses) + 1, snapshot.step + 1)
        # the last step is always kept, since the final pass and the evaluation start from its state
        keep = (numbers % self._stride == 0) | (numbers == self._total)
        layers = {layer: statistics.rows(keep) for layer, statistics in recorded.layers.items()}
        self._parts.append(Trajectories(numbers[keep], recorded.losses[keep], recorded.accuracies[keep], layers, {}))
        self._populations[snapshot.step] = snapshot.population

    def trajectories(self) -> Trajectories:
        """Returns what was collected so far."""
        return Trajectories(
            np.concatenate([part.steps for part in self._parts]),
            np.concatenate([part.losses for part in self._parts]),
            np.concatenate([part.accuracies for part in self._parts]),
            {layer: LayerStatistics.joined([p.layers[layer] for p in self._parts]) for layer in self._parts[0].layers},
            self._populations,
        )

    def state(self) -> dict[str, np.ndarray]:
        """Returns what was collected so far as arrays by name, from which `restore` continues."""
        collected = self.trajectories()
        return {
            "steps": collected.steps,
            "losses": collected.losses,
            "accuracies": collected.accuracies,
            "stride": np.array(self._stride),
            **prefixed("layers/", to_arrays(collected.layers)),
            **prefixed("populations/", collected.population_arrays()),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continues from the `state` that an earlier process saved in the same run."""
        self._stride = int(state["stride"])
        layers = from_arrays(under("layers/", state))
        self._parts = [Trajectories(state["steps"], state["losses"], state["accuracies"], layers, {})]
        populations = under("populations/", state)
        self._populations = {
            int(step): {
                layer: Moments(
                    populations[f"{layer}/population_mean"][i], populations[f"{layer}/population_variance"][i]
                )
                for layer in layers
            }
            for i, step in enumerate(populations["snapshot_steps"])
        }
