"""The folders that a run writes to, and the messages when they cannot be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from bnexp.errors import UserError, first_line

# the folder for everything that a run leaves on the disk, in the current directory
RUNS = Path("runs")


def require_writable(folder: Path, argument: str) -> None:
    """Creates `folder` and its parents where they are missing, and checks that files can be written there.

    Args:
        folder: the folder to be written to.
        argument: the key by which the user chose it, with which the message begins: `"hydra.run.dir"`.

    Raises:
        UserError: the folder cannot be created, or no file can be written in it.

    Example:
        >>> require_writable(Path("runs"), "runs")
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


@contextmanager
def refusals_told(folder: Path) -> Iterator[None]:
    """Turns an OSError in the block, as of a full disk, into a message for the user.

    Args:
        folder: the folder that the block writes to; the message names it.

    Raises:
        UserError: the block raised an OSError.

    Example:
        >>> with refusals_told(folder):
        ...     write_whole(folder / "run.json", b"{}")
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror or first_line(error)}). What was written before is kept; "
            "make room, then continue the run with resume=true."
        ) from error
