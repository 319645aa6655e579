"""Names the mistake."""

from dataclasses import dataclass

from bnexp.evaluate import Evaluation
from bnexp.trajectory import Trajectories


@dataclass(frozen=True)
class Diagnosis:
    """A verdict with its reason.

    Attributes:
        verdict: one word of the list in the README.
        sentence: what shows it, with the figure, and the cure.
    """

    verdict: str
    sentence: str


def diagnose(trajectories: Trajectories | None, evaluation: Evaluation) -> Diagnosis:
    """Judges a run by what it recorded."""
    if evaluation.moved > 0:
        return Diagnosis("leaks_at_inference", f"evaluation moved a statistic by {evaluation.moved:.3g}")
    return Diagnosis("healthy", "the statistics move in training and in training alone")
