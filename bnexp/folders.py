"""Folders that must take what a run writes; checked before anything is written."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from bnexp.errors import UserError, exit_with

# everything that a run leaves on the disk lies here, in the current directory
RUNS = Path("runs")


def sqlite_file(uri: str) -> str | None:
    """Returns the path of the file that an SQLite tracking URI names, or None where the store is no such file."""
    prefix = "sqlite:///"
    return uri.removeprefix(prefix).partition("?")[0] if uri.startswith(prefix) else None


def require_writable(folder: Path, argument: str) -> None:
    """Makes `folder` where it is missing.

    Args:
        folder: to be written to.
        argument: what decided on it, the beginning of the message.

    Raises:
        UserError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{argument}: must be a folder that can be written to, got {folder.absolute()} ({error.strerror}). "
            "Start bnexp in a folder of your own, or move what stands in the way."
        ) from error


class RequireFolders(Callback):
    """Checks the output folders before Hydra itself writes to them; `--help` and `--cfg` come nowhere near."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks those of a single run."""
        self._require(config.hydra.run.dir, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks those of a sweep."""
        self._require(config.hydra.sweep.dir, "hydra.sweep.dir")

    def _require(self, folder: str, argument: str) -> None:
        try:
            require_writable(RUNS, "runs")
            require_writable(Path(folder), argument)
        except UserError as error:
            # Hydra makes a warning of any Exception in a callback, and goes on
            exit_with(error)
