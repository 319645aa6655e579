"""Tells whose mistake an exception is: one that rises in a user's own code is told as theirs, with file and line."""

import linecache
import os
import re
import site
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_paths

from bnexp.config.gone import replacement
from bnexp.errors import UserError, first_line, is_out_of_memory

# folders, each with a separator at its end
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_INSTALLED = tuple(
    f"{path}{os.sep}"
    for path in {
        *(path for name, path in get_paths().items() if "lib" in name or name == "scripts"),
        *site.getsitepackages(),
        site.getusersitepackages(),
    }
)

# the libraries whose classes a user may name without having written them
_LIBRARIES = ("keras", "tf_keras", "tensorflow", "bnexp")

# how Keras makes parts of its messages bold
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

# how TensorFlow's messages name the line at which an op was made, or that AutoGraph has converted
_NAMED_LINE = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')


@dataclass(frozen=True)
class Line:
    """A line of a user's code.

    Attributes:
        file: the path of the file.
        number: the number of the line, from 1.
        function: the name of the function that it stands in.
    """

    file: str
    number: int
    function: str

    @property
    def text(self) -> str:
        """Returns the line without its indentation; empty if the file cannot be read."""
        return linecache.getline(self.file, self.number).strip()

    def __str__(self) -> str:
        """Returns the place and, on a line of its own, the text."""
        return f"{self.file}, line {self.number}, in {self.function}\n    {self.text}"


@contextmanager
def blaming(what: str, target: str, *, tried: str = "") -> Iterator[None]:
    """Turns an exception of a user's code into a `UserError` that names their file and line.

    An exception of bnexp's own code passes through, and so do a `UserError` and an error for lack of memory.

    Args:
        what: the key of the config and its value, `"variant._target_=mine.batch_norm"`.
        target: the full name of the class or function that the key names.
        tried: what the code was called with, for the message.

    Raises:
        UserError: the block raised an exception in the user's code, or `target` is a library's and the library raised
            it.

    Example:
        >>> with blaming("network._target_=mine.net", "mine.net", tried="inputs [?, 8, 8, 1]"):
        ...     pass
    """

    def told(error: Exception) -> str | None:
        line = line_of(error, target)
        innermost = traceback.extract_tb(error.__traceback__)[-1].filename
        of_bnexp = target.partition(".")[0] == "bnexp" or (line is None and innermost.startswith(_PACKAGE))
        return None if of_bnexp else blame(error, what, line, tried)

    with _turning(told):
        yield


@contextmanager
def blaming_any(targets: Mapping[str, str], *, tried: str = "") -> Iterator[None]:
    """Does the same around code of bnexp's that calls that of several targets, or runs ops that they have made.

    An exception is a user's only if it names a line in the file or the package of their target.

    Args:
        targets: the full names of classes or functions, by the keys of the config.
        tried: how it was run, for the message.

    Raises:
        UserError: the block raised an exception in a user's code.

    Example:
        >>> with blaming_any({"variant._target_": "mine.batch_norm", "network._target_": "bnexp.network.mlp.mlp"}):
        ...     pass
    """

    def told(error: Exception) -> str | None:
        for key, target in targets.items():
            line = line_of(error, target)
            if line is not None and (home := _home(target)) and line.file.startswith(home):
                return blame(error, f"{key}={target}", line, tried)
        return None

    with _turning(told):
        yield


@contextmanager
def _turning(told: Callable[[Exception], str | None]) -> Iterator[None]:
    """Turns an exception into a `UserError` with the message that `told` returns; lets it pass where that is None."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        message = None if is_out_of_memory(error) else told(error)
        if message is None:
            raise
        raise UserError(message) from error


def blame(error: BaseException, what: str, line: Line | None, tried: str = "") -> str:
    """Returns the message for an exception of a user's code: the place, the error's own words, and the cure if known.

    Args:
        error: the exception.
        what: the key of the config and its value.
        line: the line of the user's code; None if it is not known, as where a library's class is used as it is.
        tried: what the code was called with.

    Example:
        >>> print(blame(ValueError("no such axis"), "network._target_=mine.net", None))
        network._target_=mine.net: it raised an exception
        ValueError: no such axis
    """
    # TensorFlow's own traceback, which it puts into messages, would bury the matter
    text = first_line(error) if "most recent call last" in str(error) else _COLOURS.sub("", str(error)).strip()
    words = f"{type(error).__name__}: {text}".removesuffix(": ")
    where = f"your own code raised an exception\n  {line}" if line else "it raised an exception"
    lines = [f"{what}: {where}", words]
    if tried:
        lines.append(f"It was tried with {tried}.")
    if cure := replacement(f"{words}\n{line.text if line else ''}"):
        lines.append(f"Cure: {cure}.")
    return "\n".join(lines)


def line_of(error: BaseException, target: str) -> Line | None:
    """Returns the innermost line of the user's code that an exception rose from; None if it rose elsewhere.

    Args:
        error: the exception, with the traceback from where it was caught.
        target: the full name of the user's class or function: the package that it is in counts as the user's even where
            it is installed.
    """
    home = _home(target)
    if isinstance(error, SyntaxError) and error.filename and _is_theirs(error.filename, home):
        return Line(error.filename, error.lineno or 0, "the file")
    frames = [(f.filename, f.lineno or 0, f.name) for f in traceback.extract_tb(error.__traceback__)]
    # an op that fails when it is run has no frame of the code that made it there, but knows or names that line
    made = [(f.filename, f.lineno or 0, f.name) for f in getattr(getattr(error, "op", None), "traceback", ())]
    named = [(file, int(number), name) for file, number, name in _NAMED_LINE.findall(str(error))]
    theirs = [[Line(*frame) for frame in found if _is_theirs(frame[0], home)] for found in (frames, made, named)]
    at_home = [[line for line in lines if home and line.file.startswith(home)] for lines in theirs]
    return next((lines[-1] for lines in (*at_home, *theirs) if lines), None)


def _home(target: str) -> str:
    """Returns the folder of the package, or the file of the module, that a target stands in; empty for a library."""
    top = target.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    if top in _LIBRARIES or not file:
        return ""
    return f"{Path(file).parent}{os.sep}" if Path(file).name == "__init__.py" else file


def _is_theirs(file: str, home: str) -> bool:
    if file.startswith(_PACKAGE) or file.startswith("<") or "__autograph_generated_file" in file:
        return False
    return bool(home and file.startswith(home)) or not file.startswith(_INSTALLED)
