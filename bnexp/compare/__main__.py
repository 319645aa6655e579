"""`python -m bnexp.compare [key=value ...]`: finished runs side by side."""

import sys
from dataclasses import dataclass, field

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from bnexp.compare.show import markdown_table, terminal_table
from bnexp.compare.table import compare
from bnexp.config import Tracking
from bnexp.errors import UserError, exit_with, explain

HELP = """python -m bnexp.compare [key=value ...]

  (nothing)                          the jobs of the latest sweep
  runs=[ID,ID,...]                   these runs; a sweep's id stands for its jobs
  filter='params.decay = "0.9"'      runs that meet an MLflow filter
  markdown=true                      a Markdown table instead of one for the terminal
  tracking.uri=...                   where the runs are; sqlite:///runs/mlflow.db
  tracking.experiment=...            bnexp"""


@dataclass
class Options:
    """What a comparison is asked for."""

    runs: list[str] = field(default_factory=list)
    filter: str = ""
    markdown: bool = False
    tracking: Tracking = field(default_factory=lambda: Tracking("sqlite:///runs/mlflow.db", "bnexp"))


def options_of(arguments: list[str]) -> Options:
    """Reads `key=value` arguments.

    Raises:
        UserError: a key or a value that does not fit.
    """
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Options), OmegaConf.from_dotlist(arguments))
        options = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, ValueError) as error:
        raise UserError(f"{' '.join(arguments)}: {error}\n\n{HELP}") from error
    assert isinstance(options, Options)
    return options


def main() -> None:
    """Runs the command line."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(HELP)
        return
    try:
        options = options_of(sys.argv[1:])
        # after the arguments are known to be right: MLflow takes a second to load
        from bnexp.compare.store import Store

        store = Store(options.tracking.uri, options.tracking.experiment)
        if options.runs:
            runs = store.get(options.runs)
        else:
            runs = store.search(options.filter)[::-1] if options.filter else store.latest_sweep()
        comparison = compare(runs)
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        exit_with(message)
    if options.markdown:
        print(markdown_table(comparison))
        return
    console = Console()
    console.print(terminal_table(comparison, title=comparison.title))
    for note in comparison.notes:
        console.print(note, highlight=False)
    if comparison.unfinished:
        console.print(f"[red]{len(comparison.unfinished)} runs did not finish and are in no row:[/]")
        for run in comparison.unfinished:
            console.print(f"  {run.status} {run.name}: {run.tags.get('bnexp.error', '')}", highlight=False)


if __name__ == "__main__":
    main()
