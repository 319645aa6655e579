"""Hydra's callbacks, the only way to learn that a run or a sweep starts. Each makes one call."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bnexp.errors import UserError, exit_with
from bnexp.storage.folders import RUNS, require_writable
from bnexp.sweep.parent import lead_sweep
from bnexp.sweep.reuse import share_trainings


class RequireFolders(Callback):
    """Checks the output folders before Hydra writes to them; `--help` and `--cfg` do not get here."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the folders of a single run."""
        _require(config.hydra.run.dir, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the folders of a sweep."""
        _require(config.hydra.sweep.dir, "hydra.sweep.dir")


class LeadSweep(Callback):
    """Starts the parent run when Hydra starts a sweep."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Starts the parent run."""
        try:
            lead_sweep(config)
        except UserError as error:
            # Hydra would turn an Exception in a callback into a warning, and go on
            exit_with(error)


class ShareTrainings(Callback):
    """Tells the jobs of a sweep in which folder to share trainings, if any of them can share one."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Tells the jobs the folder."""
        share_trainings(config)


def _require(folder: str, argument: str) -> None:
    try:
        require_writable(RUNS, "runs")
        require_writable(Path(folder), argument)
    except UserError as error:
        exit_with(error)
