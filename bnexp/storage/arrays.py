"""Arrays on the disk: packed into one .npz file, written atomically, and checked by their SHA-256."""

import json
import os
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from bnexp.errors import first_line

# the file beside an array file that holds its name, size and SHA-256; written after it
MANIFEST = "manifest.json"


class DamagedError(ValueError):
    """A file is missing, truncated or changed; the message names it."""


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], **facts: Any) -> None:
    """Writes arrays to an .npz file and then, beside it, a manifest with the file's name, size and SHA-256.

    If the process is killed meanwhile, an earlier manifest and its file remain valid, provided that `path` is a new
    name.

    Args:
        path: the .npz file to write; its folder is created if it is missing.
        arrays: the arrays by name; a name may hold slashes.
        **facts: numbers and text that the manifest holds besides; `load_arrays` returns them.

    Example:
        >>> save_arrays(folder / "step-500.npz", {"variables/bn1/gamma": gamma}, step=500)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pack(arrays)
    write_whole(path, content)
    manifest = {**facts, "file": path.name, "sha256": sha256(content).hexdigest(), "bytes": len(content)}
    write_whole(path.with_name(MANIFEST), json.dumps(manifest, indent=1).encode())


def load_arrays(folder: Path, file: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads the arrays that `save_arrays` wrote, after checking their SHA-256.

    Args:
        folder: the folder that holds the manifest and the array file.
        file: the name of the array file, for the manifests of older versions, which do not name it.

    Returns:
        The arrays by name, and the manifest.

    Raises:
        DamagedError: a file is missing, truncated or changed; the message names it and says how.

    Example:
        >>> arrays, manifest = load_arrays(folder)
        >>> list(arrays), manifest["step"]
        (['variables/bn1/gamma'], 500)
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DamagedError(f"there is no {path}")
    try:
        manifest = json.loads(path.read_bytes())
        path, digest, size = folder / manifest.get("file", file), manifest["sha256"], manifest["bytes"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{path} is damaged ({first_line(error)})") from error
    if not path.is_file():
        raise DamagedError(f"there is no {path}")
    content = path.read_bytes()
    if sha256(content).hexdigest() != digest:
        raise DamagedError(
            f"{path} is damaged: it should have {size} bytes with SHA-256 {digest}, and has {len(content)} bytes with "
            "another"
        )
    return unpack(content), manifest


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns the content of an .npz file, the same bytes for the same arrays.

    Args:
        arrays: the arrays by name, of any dtype but object.

    Example:
        >>> unpack(pack({"mean": np.zeros(2)}))
        {'mean': array([0., 0.])}
    """
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # not np.savez: its own parameter is called `file`, as a variable may be
        for name, array in arrays.items():
            # ZipInfo's default date is constant, so that equal arrays give equal bytes
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays by name in the content of an .npz file; the inverse of `pack`.

    Args:
        content: all bytes of the file.

    Example:
        >>> unpack(pack({"mean": np.zeros(2)}))["mean"].shape
        (2,)
    """
    with np.load(BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def under(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays whose names begin with `prefix`, by the rest of the name.

    Args:
        prefix: the beginning of the names, with its slash.
        arrays: the arrays by full name.

    Example:
        >>> under("mean/", {"mean/bn1": np.ones(2), "variance/bn1": np.zeros(2)})
        {'bn1': array([1., 1.])}
    """
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays with `prefix` before each name; the inverse of `under`.

    Args:
        prefix: what is put before the names, with its slash.
        arrays: the arrays by name.

    Example:
        >>> list(prefixed("mean/", {"bn1": np.ones(2)}))
        ['mean/bn1']
    """
    return {prefix + name: array for name, array in arrays.items()}


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file atomically: a reader finds all of the old or all of the new content, even after a crash.

    Args:
        path: the file to write or to replace; its folder must exist.
        content: the new content.

    Raises:
        OSError: the disk does not accept it; the old content is left as it was.

    Example:
        >>> write_whole(folder / "note.txt", b"done")
        >>> (folder / "note.txt").read_bytes()
        b'done'
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
