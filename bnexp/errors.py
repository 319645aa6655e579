"""The one exception that means: the user can mend this; and what the command line says of every other."""

import sys
from typing import NoReturn


class UserError(Exception):
    """A mistake of the user's, told in one message.

    The message names the argument, the rule, the value received and the cure. `python -m bnexp` prints it on standard
    error without a traceback and exits with a non-zero status.
    """


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message, or its type where it has none."""
    return str(error).strip().split("\n")[0].strip()[:500] or type(error).__name__


def explain(error: Exception) -> str | None:
    """Returns the message that tells a user what happened; None for a bug of bnexp's, which needs a traceback."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory ({first_line(error)}). Take a smaller batch_size, eval_batch_size or network."
    if isinstance(error, OSError):
        return f"{error}. Check the disk's space and its permissions."
    # by name, since importing them takes seconds that `--help` must not wait for
    library = type(error).__module__.split(".")[0]
    if library in ("mlflow", "submitit", "tensorflow"):
        return f"{library} failed with {type(error).__name__}: {first_line(error)}"
    return None


def say(message: object) -> None:
    """Prints one message on standard error; the run goes on."""
    print(f"bnexp: {message}", file=sys.stderr)


def exit_with(message: object, status: int = 1) -> NoReturn:
    """Prints one message on standard error and ends the process."""
    say(message)
    raise SystemExit(status)
