"""Saves and restores every variable of a network, atomically.

The file holds the variables as they are after the final pass and, apart, the moving averages that the pass replaced, so
that another final pass can start from the same state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnexp.errors import UserError
from bnexp.storage.arrays import DamagedError, load_arrays, prefixed, save_arrays, under

ARRAYS = "variables.npz"
_VARIABLES, _LAST_AVERAGES = "variables/", "last_averages/"


@dataclass(frozen=True)
class Checkpoint:
    """Every variable of a network.

    Attributes:
        variables: the values of all variables by name: weights, moving statistics, optimizer slots.
        last_averages: the moving statistics that a final pass replaced, by name, with their values before it.
    """

    variables: Mapping[str, np.ndarray]
    last_averages: Mapping[str, np.ndarray]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes `folder`/variables.npz and its manifest, each atomically.

    Args:
        folder: the folder to write to; it is created if it is missing.
        checkpoint: the variables to save.

    Example:
        >>> save_checkpoint(Path("checkpoint"), Checkpoint(model.state(), last_averages={}))
    """
    arrays = prefixed(_VARIABLES, checkpoint.variables) | prefixed(_LAST_AVERAGES, checkpoint.last_averages)
    save_arrays(folder / ARRAYS, arrays, count=len(arrays))


def load_checkpoint(folder: Path, source: str = "checkpoint") -> Checkpoint:
    """Reads the checkpoint that `save_checkpoint` wrote.

    Args:
        folder: the folder that holds the array file and its manifest.
        source: says whose checkpoint it is, with which every message begins: `"restore=RUN_ID"`.

    Raises:
        UserError: a file is missing, truncated or changed; the message names it.

    Example:
        >>> load_checkpoint(Path("checkpoint")).variables["bn1/gamma"].shape
        (100,)
    """
    try:
        arrays, _ = load_arrays(folder, ARRAYS)
    except DamagedError as error:
        # the folder is temporary, and gone by the time that the message is read
        damage = str(error).replace(f"{folder.parent}/", "")
        raise UserError(
            f"{source}: its checkpoint cannot be read: {damage}. Restore another run that has finished, or train anew."
        ) from error
    return Checkpoint(under(_VARIABLES, arrays), under(_LAST_AVERAGES, arrays))
