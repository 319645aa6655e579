"""Saving and restoring every variable of a network, written whole or not at all.

The file holds the variables as inference uses them after the final pass and, apart, the last moving averages that the
pass replaced, so that another final pass can start from the same place.
"""

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np

from bnexp.errors import UserError, first_line

ARRAYS, MANIFEST = "variables.npz", "manifest.json"
_VARIABLES, _LAST_AVERAGES = "variables/", "last_averages/"


@dataclass(frozen=True)
class Checkpoint:
    """Every variable of a network.

    Attributes:
        variables: by name: weights, moving statistics, optimizer slots.
        last_averages: by name, those that a final pass replaced, as they were before it.
    """

    variables: Mapping[str, np.ndarray]
    last_averages: Mapping[str, np.ndarray]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes `folder`/variables.npz and a manifest with its SHA-256; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {_VARIABLES + name: array for name, array in checkpoint.variables.items()}
    arrays |= {_LAST_AVERAGES + name: array for name, array in checkpoint.last_averages.items()}
    content = pack(arrays)
    write_whole(folder / ARRAYS, content)
    manifest = {"sha256": sha256(content).hexdigest(), "bytes": len(content), "arrays": len(arrays)}
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def load_checkpoint(folder: Path, source: str = "checkpoint") -> Checkpoint:
    """Reads what `save_checkpoint` wrote.

    Args:
        folder: holds the two files.
        source: whose checkpoint it is, the beginning of every message.

    Raises:
        UserError: a file is missing, truncated or changed; the message names it.
    """
    missing = [name for name in (ARRAYS, MANIFEST) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{source}: no {' and no '.join(missing)} in its checkpoint. Restore a run that has finished.")
    content = (folder / ARRAYS).read_bytes()
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        digest, size = manifest["sha256"], manifest["bytes"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{source}: {MANIFEST} of its checkpoint is damaged ({first_line(error)}). "
            "Restore another run, or train anew."
        ) from error
    if sha256(content).hexdigest() != digest:
        raise UserError(
            f"{source}: {ARRAYS} of its checkpoint is damaged. It should have {size} bytes with SHA-256 {digest}, and "
            f"has {len(content)} bytes with another. Restore another run, or train anew."
        )
    arrays = unpack(content)
    return Checkpoint(under(_VARIABLES, arrays), under(_LAST_AVERAGES, arrays))


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns arrays as an .npz file, the same bytes for the same arrays."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # by hand and not np.savez, whose keyword arguments clash with variables named `file`
        for name, array in arrays.items():
            # a date of its own would make equal checkpoints unequal files
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz file."""
    with np.load(BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays whose name begins with `prefix`, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file so that whoever reads `path` finds the old content or all of the new, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
