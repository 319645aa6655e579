"""What was promised, and whether a measurement keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .peers import OWN, Timing
from .timing import Ratio, ratio

# how many times bnexp's rate is to be a family's best one
TRAINING = {
    "mlp": {"Keras defaults": 5.0, "Session.run": 2.5, "PyTorch": 2.5, "JAX": 1.2},
    "cnn": {"Keras defaults": 3.0, "Keras tuned": 1.2, "PyTorch": 1.1, "JAX": 1.5},
}
EVALUATION = {
    "mlp": {"Keras defaults": 100.0, "Session.run": 40.0, "PyTorch": 10.0, "JAX": 0.9},
    "cnn": {"Keras defaults": 10.0, "PyTorch": 3.0, "JAX": 1.0},
}
FINAL_PASS = {"PyTorch update_bn": 2.0, "fvcore PreciseBN": 2.0}


@dataclass(frozen=True)
class Row:
    """One line of the table of targets.

    Attributes:
        work: what was done.
        against: what it is compared with, or what is counted.
        measured: median and spread.
        target: None where nothing was promised.
        sense: at least or at most the target.
        unit: of all four numbers.
    """

    work: str
    against: str
    measured: Ratio
    target: float | None
    sense: Literal[">=", "<="] = ">="
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.measured.median >= self.target if self.sense == ">=" else self.measured.median <= self.target


def against_peers(work: str, timings: Mapping[str, Timing], targets: Mapping[str, float], own: str = OWN) -> list[Row]:
    """Returns bnexp's rate over that of each family's best, with targets where there are some."""
    best: dict[str, Timing] = {}
    for timing in timings.values():
        known = best.get(timing.family)
        if not timing.family.startswith(OWN) and (known is None or timing.rate > known.rate):
            best[timing.family] = timing
    return [
        Row(work, family, ratio(timings[own].rates, timing.rates), targets.get(family))
        for family, timing in best.items()
    ]
