"""Reads an .npz file of four arrays: not a dataset itself, but what every `dataset.path` is read with."""

import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bnexp.dataset import Dataset, make_dataset
from bnexp.errors import UserError

NAMES = ("x_train", "y_train", "x_test", "y_test")
CURE = "Give the path of an .npz file with x_train, y_train, x_test and y_test."


def read_dataset(path: str | os.PathLike[str], *, num_classes: int | None = None) -> Dataset:
    """Returns the dataset in an .npz file, as `np.savez` and `np.savez_compressed` write it.

    Args:
        path: the file; `~` is the home directory, a relative path starts at the current directory.
        num_classes: the number of classes, 2 or more; None takes the largest label of `y_train` plus one.

    Raises:
        UserError: there is no such file, it is not an .npz file, it is damaged, holds pickled objects or lacks one of
            the four arrays, or an array breaks a rule of `make_dataset`.
    """
    arrays = read_arrays(path)
    return make_dataset(*(arrays[name] for name in NAMES), source=f"dataset.path={path}", num_classes=num_classes)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Returns the four arrays as they are stored, by name.

    Args:
        path: the file, as `read_dataset` takes it.

    Raises:
        UserError: the file is one that `read_dataset` rejects; what the arrays hold is not looked at here.
    """
    source = f"dataset.path={path}"
    # not Path.expanduser, which raises for an unknown ~user; and Path("") would be the current directory
    file = os.path.expanduser(str(path))
    if os.path.isdir(file):
        raise UserError(f"{source}: a directory. {CURE}")
    if not os.path.exists(file):
        absolute = os.path.abspath(file)
        where = "" if absolute == str(path) else f" ({absolute})"
        raise UserError(f"{source}: no such file{where}. {CURE}")
    # opened apart from the reading, so that only what opening itself raises is told as a matter of permissions
    try:
        stream = open(file, "rb")  # noqa: SIM115 (`with` follows)
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror}). Check its permissions.") from error
    with stream:
        magic = stream.read(2)
        # np.load would take anything else for .npy or a pickle, and complain about pickles where a text file was given
        if magic != b"PK":
            raise UserError(f"{source}: not an .npz file, which starts with b'PK', got {magic!r}. {CURE}")
        stream.seek(0)
        return _read_members(stream, source)


def _read_members(stream: BinaryIO, source: str) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    name = "its directory"
    # what damaged bytes raise depends on where they lie: zip, zlib, npy header, memory; the cure is always one.
    # np.load gets the open stream and no path: given a path, it leaves the file open where the directory is damaged
    try:
        with np.load(stream, allow_pickle=False) as archive:
            missing = [name for name in NAMES if name not in archive.files]
            if missing:
                has = ", ".join(archive.files) or "nothing"
                raise UserError(
                    f"{source}: no {', '.join(missing)} in this file; it holds {has}. "
                    "Write it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)."
                )
            for name in NAMES:
                arrays[name] = archive[name]
                if not isinstance(arrays[name], np.ndarray):  # NumPy hands over a member that is no .npy as bytes
                    raise ValueError("not a NumPy array")
    except UserError:
        raise
    except Exception as error:
        if "allow_pickle" in str(error):
            raise UserError(
                f"{source}: {name} holds pickled Python objects, which bnexp never loads, since a pickle can run code. "
                "Save it as an array of numbers with one shape for all rows."
            ) from error
        raise UserError(
            f"{source}: truncated or damaged: {name} cannot be read ({type(error).__name__}: {_first_line(error)}). "
            "Copy or write the file again."
        ) from error
    return arrays


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no message"])[0]
