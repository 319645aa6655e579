"""How many cores TensorFlow may use: all of the machine's, or a job's share where a launcher runs several at once."""

import os

# environment variables that TensorFlow reads once, when it starts: threads inside one op, and ops run at the same time
VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def thread_limit() -> int | None:
    """Returns how many threads TensorFlow was told to use inside one op; None if TensorFlow chooses."""
    given = os.environ.get(VARIABLES[0], "")
    return int(given) if given.isdecimal() and int(given) else None


def cores() -> int:
    """Returns the number of cores that this process may use.

    Example:
        >>> cores() >= 1
        True
    """
    return thread_limit() or os.cpu_count() or 1
