"""The exception for mistakes that the user can mend, and the messages of the command line for all others."""

import sys
from typing import NoReturn


class UserError(Exception):
    """A mistake that the user can mend.

    Its message names the argument, the rule, the value received and the cure. `python -m bnexp` prints it on standard
    error without a traceback and exits with a non-zero status.
    """


# the headings under which TensorFlow puts a traceback before it comes to the matter
_HEADINGS = ("in user code:", "Graph execution error:")


def first_line(error: BaseException) -> str:
    """Returns the first telling line of an error's message, at most 500 characters; its type's name if there is none.

    Args:
        error: any exception; many libraries' messages have several lines.

    Example:
        >>> first_line(ValueError("no such file")), first_line(KeyError())
        ('no such file', 'KeyError')
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines[0] in _HEADINGS:
        # the matter stands behind the traceback, and before the name of the node if there is one
        node = next((i for i, line in enumerate(lines) if line.startswith("[[")), len(lines))
        lines = lines[max(node - 1, 1) :] or lines
    # the ends of TensorFlow's messages repeat the node's definition
    return lines[0].removeprefix(f"{type(error).__name__}: ").partition(" for '{{node")[0][:500]


def is_out_of_memory(error: BaseException) -> bool:
    """Tells whether an error is about the machine's memory, and so nobody's mistake in a program.

    Args:
        error: any exception; TensorFlow's is recognised by its name, since importing TensorFlow takes seconds.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError())
        (True, False)
    """
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def explain(error: Exception) -> str | None:
    """Returns the message for the user; None for an error that is a bug in bnexp, which needs a traceback.

    Args:
        error: what ended a command.

    Example:
        >>> explain(UserError("steps must be at least 1, got 0.")), explain(IndexError())
        ('steps must be at least 1, got 0.', None)
    """
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return f"out of memory ({first_line(error)}). Take a smaller batch_size, eval_batch_size or network."
    if isinstance(error, OSError):
        return f"{error}. Check the disk's space and its permissions."
    # recognised by name, since importing these libraries takes seconds, too long for `--help`
    library = type(error).__module__.split(".")[0]
    if library in ("mlflow", "submitit", "tensorflow"):
        return f"{library} failed with {type(error).__name__}: {first_line(error)}"
    return None


def say(message: object) -> None:
    """Prints a message on standard error.

    Args:
        message: the text, or an error whose text is printed.

    Example:
        >>> say("another process is still at this run; waiting for it")
    """
    print(f"bnexp: {message}", file=sys.stderr)


def exit_with(message: object, status: int = 1) -> NoReturn:
    """Prints a message on standard error and ends the process.

    Args:
        message: the text, or an error whose text is printed.
        status: the process's exit status.

    Raises:
        SystemExit: always, with `status`.

    Example:
        >>> exit_with("steps must be at least 1, got 0.")
        Traceback (most recent call last):
        SystemExit: 1
    """
    say(message)
    raise SystemExit(status)
