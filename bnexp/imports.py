"""Large libraries are imported without the garbage collector, which would look through all of them again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_imports() -> Iterator[None]:
    """Keeps what the block imports from the garbage collector for good; and collects what there was before.

    TensorFlow and MLflow are half a million objects that live until the process ends. To look for garbage among them
    takes a second while they are imported, a tenth of a run's time after that, and most of a second when it ends.
    """
    if gc.get_freeze_count():
        gc.collect()  # the networks of a sweep's jobs hold on to themselves, and to their data, in cycles
        yield  # everything was imported for the job before
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
