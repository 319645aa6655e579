"""The statistics of a run, step by step: collected, thinned where the run is long, written as one array file."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from bnexp.checkpoint import under, write_whole
from bnexp.moments import Moments
from bnexp.train import Snapshot

# a run that would record more keeps every second, third, ... step
MOST_BYTES = 2**26


@dataclass(frozen=True)
class Trajectories:
    """What a run recorded.

    Attributes:
        steps: [kept] int64, the training steps kept, from 1; every one unless the run is long.
        arrays: by `<layer>/<statistic>`, [kept, channels] float32; `loss` and `accuracy`, [kept] float32.
        populations: by training step, the snapshots' populations by layer.
    """

    steps: np.ndarray
    arrays: Mapping[str, np.ndarray]
    populations: Mapping[int, Mapping[str, Moments]]

    @property
    def layers(self) -> list[str]:
        """Returns the names of the layers that keep statistics."""
        return [name.removesuffix("/moving_mean") for name in self.arrays if name.endswith("/moving_mean")]

    @property
    def measured_layers(self) -> list[str]:
        """Returns the names of all layers; those that keep no statistics still have inputs with batch moments."""
        return [name.removesuffix("/batch_mean") for name in self.arrays if name.endswith("/batch_mean")]

    def save(self, path: Path) -> None:
        """Writes `steps`, the arrays, and `<layer>/population_mean` and `..._variance` at `snapshot_steps`."""
        arrays: dict[str, Any] = {
            "steps": self.steps,
            "snapshot_steps": np.array(list(self.populations)),
            **self.arrays,
        }
        for layer in self.measured_layers:
            series = [population[layer] for population in self.populations.values()]
            with np.errstate(over="ignore"):  # a network that diverged may have a variance that only float64 can hold
                arrays[f"{layer}/population_mean"] = np.array([moments.mean for moments in series], np.float32)
                arrays[f"{layer}/population_variance"] = np.array([moments.variance for moments in series], np.float32)
        buffer = BytesIO()
        np.savez(buffer, **arrays)
        write_whole(path, buffer.getvalue())


class Recorder:
    """Collects snapshots into trajectories that stay under MOST_BYTES.

    Args:
        steps: training steps of the whole run.
    """

    def __init__(self, steps: int) -> None:
        self._total, self._stride = steps, 0
        self._kept: list[np.ndarray] = []
        self._parts: list[dict[str, np.ndarray]] = []
        self._populations: dict[int, Mapping[str, Moments]] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Keeps the snapshot's steps, or every few of them."""
        recorded = {"loss": snapshot.steps.losses, "accuracy": snapshot.steps.accuracies, **snapshot.steps.statistics}
        if not self._stride:
            bytes_a_step = sum(array[0].nbytes for array in recorded.values())
            self._stride = ceil(self._total * bytes_a_step / MOST_BYTES)
        numbers = np.arange(snapshot.step - len(snapshot.steps.losses) + 1, snapshot.step + 1)
        # the last step is always kept: it is what the final pass and the evaluation start from
        keep = (numbers % self._stride == 0) | (numbers == self._total)
        self._kept.append(numbers[keep])
        self._parts.append({name: array[keep] for name, array in recorded.items()})
        self._populations[snapshot.step] = snapshot.population

    def trajectories(self) -> Trajectories:
        """Returns what was collected."""
        arrays = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
        return Trajectories(np.concatenate(self._kept), arrays, self._populations)

    def state(self) -> dict[str, np.ndarray]:
        """Returns all that was collected, as arrays."""
        collected = self.trajectories()
        arrays = {f"arrays/{name}": array for name, array in collected.arrays.items()}
        for layer in collected.measured_layers:
            series = [population[layer] for population in self._populations.values()]
            arrays[f"population_mean/{layer}"] = np.array([moments.mean for moments in series])
            arrays[f"population_variance/{layer}"] = np.array([moments.variance for moments in series])
        return arrays | {
            "steps": collected.steps,
            "stride": np.array(self._stride),
            "snapshot_steps": np.array(list(self._populations)),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes over what another recorder of the same run had collected: its `state`."""
        self._stride = int(state["stride"])
        self._kept, self._parts = [state["steps"]], [under("arrays/", state)]
        means, variances = under("population_mean/", state), under("population_variance/", state)
        self._populations = {
            int(step): {layer: Moments(means[layer][i], variances[layer][i]) for layer in means}
            for i, step in enumerate(state["snapshot_steps"])
        }
