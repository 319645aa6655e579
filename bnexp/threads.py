"""How many cores TensorFlow may fill: all of the machine's, or those that a launcher leaves each of its jobs."""

import os

# TensorFlow reads them once, when it starts: threads inside an op, and ops that run at the same time
VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def thread_limit() -> int | None:
    """Returns the threads that TensorFlow was told to use inside an op; None where it may choose."""
    given = os.environ.get(VARIABLES[0], "")
    return int(given) if given.isdecimal() and int(given) else None


def cores() -> int:
    """Returns the number of cores that this process may fill."""
    return thread_limit() or os.cpu_count() or 1
