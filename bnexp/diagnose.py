"""Names the mistake, shows the figure that proves it, the document it matches and the cure.

The verdict comes from what a layer *does* (its fingerprint, its graph's audit, the run's own record), never from its
traits. It is one word, the first of `VERDICTS` that applies: wrong in kind before wrong in degree.
"""

from collections.abc import Callable, Mapping
from math import isfinite

from bnexp.verdict import Diagnosis, Evidence, averages, normalisation, updates

Rule = Callable[[Evidence], Diagnosis | None]


def diagnose(evidence: Evidence) -> Diagnosis:
    """Returns the first verdict that applies, and the names of the others."""
    found = [diagnosis for rule in VERDICTS.values() if (diagnosis := rule(evidence)) is not None]
    if not found:
        return _healthy(evidence)
    first = found[0]
    also = tuple(other.verdict for other in found[1:])
    return Diagnosis(first.verdict, first.sentence, first.document, first.cure, also, tuple(evidence.findings))


def _diverged(evidence: Evidence) -> Diagnosis | None:
    if not evidence.diverged:
        return None
    return Diagnosis(
        "diverged",
        f"the loss of step {evidence.diverged} is no finite number: the layer is right, and nothing after it means a "
        "thing",
        cure="take a smaller learning_rate",
    )


def _healthy(evidence: Evidence) -> Diagnosis:
    measured = ""
    if isfinite(evidence.mean_error) and isfinite(evidence.variance_ratio):
        measured = (
            f"; at the end of training the moving mean was {evidence.mean_error:.2g} standard deviations from the "
            f"population's, the variance {evidence.variance_ratio:.3g} times the population's"
        )
    return Diagnosis(
        "healthy", f"the statistics move in training alone, by a right recurrence, and inference reads them{measured}"
    )


VERDICTS: Mapping[str, Rule] = {
    "no_statistics": normalisation.no_statistics,
    "updates_never_run": updates.updates_never_run,
    "separate_statistics": updates.separate_statistics,
    "moving_statistics_in_training": normalisation.moving_statistics_in_training,
    "batch_statistics_at_inference": normalisation.batch_statistics_at_inference,
    "leaks_at_inference": updates.leaks_at_inference,
    "test_data_in_statistics": updates.test_data_in_statistics,
    "unordered_average": updates.unordered_average,
    "double_update": updates.double_update,
    "wrong_recurrence": averages.wrong_recurrence,
    "wrong_normalisation": normalisation.wrong_normalisation,
    "diverged": _diverged,
    "lagging": averages.lagging,
}
