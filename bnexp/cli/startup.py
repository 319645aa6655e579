"""Imports large libraries quietly, and keeps the garbage collector from searching their objects again and again."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discards what native code writes to file descriptor 2 in the block; if the block fails it is shown.

    While TensorFlow is imported its libraries report missing CUDA drivers and CPU features, which none of its settings
    prevents. bnexp's own messages would be hard to find among them.

    Example:
        >>> with quiet_stderr():
        ...     import tensorflow as tf
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def kept_imports() -> Iterator[None]:
    """Excludes the objects that the block creates from garbage collection for good.

    TensorFlow and MLflow create half a million objects that live until the process ends. Searching them for garbage
    takes a second during the import, a tenth of a run's time after it, and most of a second at the end. When imports
    have been kept before, the block is preceded by a garbage collection instead.

    Example:
        >>> with kept_imports():
        ...     import tensorflow as tf
    """
    if gc.get_freeze_count():
        gc.collect()  # frees the networks of earlier jobs of a sweep, which are reference cycles
        yield  # everything has been imported for an earlier job
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
