"""The command line of `python -m bnexp.compare`: `key=value` arguments and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bnexp.errors import UserError

HELP = """python -m bnexp.compare [key=value ...]

Puts finished runs side by side: a table here, a report with plots for a browser.

  (nothing)                      the jobs of the latest sweep, or else all runs
  runs=[ID,ID,...]               these runs; a sweep's id stands for its jobs
  filter='params.decay = "0.9"'  runs that meet an MLflow filter
  by=[variant,decay]             compare by these params first; runs that differ
                                 in another one are kept apart all the same
  sort=accuracy                  sort rows by a column; -accuracy: descending
  html=FILE                      where the report goes; runs/comparison.html,
                                 null writes none
  csv=FILE                       the table as CSV as well
  markdown=true                  a Markdown table instead of one for the terminal
  tracking.uri=...               where the runs are; sqlite:///runs/mlflow.db
  tracking.experiment=...        bnexp"""


@dataclass(frozen=True)
class Options:
    """The options of a comparison.

    Attributes:
        runs: the ids of the runs to compare; empty means those that `filter` finds, or else the latest sweep.
        filter: a filter in MLflow's language; empty means none.
        by: the names of the params in the first columns.
        sort: the column to sort the rows by, with a `-` before it for descending; empty sorts by the keys.
        html: the file for the HTML report; None writes none.
        csv: the file for the table as CSV; None writes none.
        markdown: whether to print the table in Markdown and not for the terminal.
        uri: the tracking URI of the store that has the runs.
        experiment: the name of the experiment that has the runs.
    """

    runs: tuple[str, ...] = ()
    filter: str = ""
    by: tuple[str, ...] = ()
    sort: str = ""
    html: Path | None = Path("runs/comparison.html")
    csv: Path | None = None
    markdown: bool = False
    uri: str = "sqlite:///runs/mlflow.db"
    experiment: str = "bnexp"


def options_of(arguments: Sequence[str]) -> Options:
    """Reads the `key=value` arguments of the command line.

    OmegaConf is not used, since it would take a run id of digits only for a number.

    Args:
        arguments: the arguments as the user wrote them; HELP lists the keys.

    Raises:
        UserError: a key does not exist, or a value does not fit its key.

    Example:
        >>> options_of(["by=[variant,decay]", "html=null"]).by
        ('variant', 'decay')
    """
    parsers: dict[str, tuple[str, Callable[[str, str], Any]]] = {
        "runs": ("runs", _names),
        "filter": ("filter", _text),
        "by": ("by", _names),
        "sort": ("sort", _text),
        "html": ("html", _path),
        "csv": ("csv", _path),
        "markdown": ("markdown", _truth),
        "tracking.uri": ("uri", _text),
        "tracking.experiment": ("experiment", _text),
    }
    values: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in parsers:
            near = get_close_matches(key, parsers, n=1)
            advice = f"Did you mean {near[0]}={value}?" if near else f"Take one of {', '.join(parsers)}, or see --help."
            raise UserError(f"{argument}: there is no key {key}. {advice}")
        if not equals or not value:
            raise UserError(f"{argument}: must be {key}=VALUE. See --help.")
        name, parse = parsers[key]
        values[name] = parse(key, value)
    if "runs" in values and "filter" in values:
        raise UserError("runs and filter cannot both be given. Leave one of them out.")
    return Options(**values)


def _text(_: str, value: str) -> str:
    return value


def _names(key: str, value: str) -> tuple[str, ...]:
    inside = value.removeprefix("[").removesuffix("]")
    names = tuple(name.strip(" '\"") for name in inside.split(",") if name.strip(" '\""))
    if not names or value.startswith("[") != value.endswith("]"):
        raise UserError(f"{key} must be a list such as {key}=[A,B], got {value}.")
    return names


def _path(key: str, value: str) -> Path | None:
    if value == "null":
        return None
    path = Path(value).expanduser()
    if path.is_dir():
        raise UserError(f"{key} must be a file, got the folder {value}. Write {key}={path / f'comparison.{key}'}.")
    return path


def _truth(key: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise UserError(f"{key} must be true or false, got {value}.")
    return value.lower() == "true"
