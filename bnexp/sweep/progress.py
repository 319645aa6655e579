"""The progress of a sweep: a line for each job that has ended, above a bar."""

import os
from collections.abc import Mapping, Sequence
from math import prod

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig
from rich import get_console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bnexp.diagnosis.severity import style
from bnexp.names import HEADLINE, JOBS_VARIABLE, telling_overrides

# a job's overrides are padded to this width, so that most lines have their figures in columns
OVERRIDES_WIDTH = 36


def count_jobs(config: DictConfig) -> int:
    """Returns the number of jobs in a sweep; 0 if only its sweeper knows.

    Args:
        config: the sweep's config, as Hydra passes it to a callback when the sweep starts.
    """
    sweeper = config.hydra.sweeper
    if "n_trials" in sweeper:
        return int(sweeper.n_trials)
    if "basic_sweeper" not in sweeper._target_:
        return 0
    overrides = [*(f"{key}={value}" for key, value in (sweeper.params or {}).items()), *config.hydra.overrides.task]
    parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(overrides)
    discrete = {o.key_or_group: o for o in parsed if not o.is_sweep_override() or o.is_discrete_sweep()}
    return prod(len(list(o.sweep_iterator())) for o in discrete.values() if o.is_sweep_override())


def print_job(
    number: int,
    overrides: Sequence[str],
    metrics: Mapping[str, float],
    verdict: str,
    *,
    seconds: float,
    note: str = "",
) -> None:
    """Prints a line about a job that has ended.

    Args:
        number: the number of the job in its sweep, from 0.
        overrides: the overrides of the job, as Hydra passes them.
        metrics: the job's final metrics by their MLflow names.
        verdict: the job's verdict, printed in the colour of its severity.
        seconds: the wall-clock time that the job took.
        note: a remark at the end of the line, such as whose training the job shares; empty prints none.

    Example:
        >>> print_job(2, ["variant=ema"], {"test/accuracy": 0.9746}, "healthy", seconds=1.94)
         3/35  variant=ema                           0.9746  healthy  1.9 s
    """
    accuracy = f"{metrics[HEADLINE]:.4f}" if HEADLINE in metrics else "-"
    parts = [
        place(number),
        escape(" ".join(telling_overrides(overrides)).ljust(OVERRIDES_WIDTH)),
        f"{accuracy:>6}",
        f"[{style(verdict)}]{verdict}[/]" if style(verdict) else verdict,
        f"{seconds:.1f} s",
        f"[dim]{escape(note)}[/]" if note else "",
    ]
    get_console().print("  ".join(part for part in parts if part), highlight=False, soft_wrap=True)


def place(number: int) -> str:
    """Returns a job's place in its sweep, `" 3/35"`; `"#3"` if the number of jobs is not known.

    Args:
        number: the number of the job in its sweep, from 0.

    Example:
        >>> place(2)
        ' 3/35'
    """
    total = os.environ.get(JOBS_VARIABLE, "0")
    return f"{number + 1:>{len(total)}}/{total}" if int(total) else f"#{number + 1}"


class JobsBar:
    """A progress bar of the jobs that have ended, below their lines; it is shown only in a terminal.

    Args:
        total: the number of jobs in the sweep; 0 if it is not known.
    """

    def __init__(self, total: int) -> None:
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        console = get_console()  # the console of the jobs' lines, which then appear above the bar
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("jobs", total=total or None)
        self._progress.start()

    def advance(self) -> None:
        """Counts a job that has ended, finished or not."""
        self._progress.advance(self._task)

    def stop(self) -> None:
        """Removes the bar."""
        self._progress.stop()
