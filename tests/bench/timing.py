"""Repetitions taken in turn, their medians, and ratios with their spread."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import sleep
from typing import TypeVar

Measured = TypeVar("Measured")


# seconds of rest before each task: threads of whoever came before may spin for some time before they sleep
REST = 0.5


@dataclass(frozen=True)
class Clock:
    """A measured time.

    Attributes:
        seconds: of the clock on the wall.
        cpu: seconds of processor time, of all threads together; other people's load adds nothing to it.
    """

    seconds: float
    cpu: float


def interleaved(tasks: Mapping[str, Callable[[], Measured]], repetitions: int) -> dict[str, list[Measured]]:
    """Runs every task once, then every task again, so that a slow minute of the machine is everybody's.

    Args:
        tasks: by name; each returns what it measured.
        repetitions: rounds; each starts one further down the list, so that nobody always comes after the same one.
    """
    names = list(tasks)
    measured: dict[str, list[Measured]] = {name: [] for name in names}
    for repetition in range(repetitions):
        shift = repetition % len(names)
        for name in names[shift:] + names[:shift]:
            sleep(REST)
            measured[name].append(tasks[name]())
    return measured


@dataclass(frozen=True)
class Ratio:
    """How many times as much, with the smallest and largest of the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Returns the ratio of the medians, and the spread of the ratios of each round."""
    rounds = [n / d for n, d in zip(numerator, denominator, strict=True)]
    return Ratio(median(numerator) / median(denominator), min(rounds), max(rounds))


def spread(values: Sequence[float]) -> Ratio:
    """Returns the median of values with the smallest and largest."""
    return Ratio(median(values), min(values), max(values))
