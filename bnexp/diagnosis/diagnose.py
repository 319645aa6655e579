"""Names the mistake of a layer, with a figure that shows it, the document that describes it, and the cure.

The verdict comes from what the layer *does* (its fingerprint, the audit of its graph, the measurements of the run),
never from its traits. It is one word: the first of `VERDICTS` that applies. Layers that do something wrong come before
those that do the right thing too slowly.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite

from bnexp.diagnosis.evidence import Evidence
from bnexp.diagnosis.verdict import Diagnosis, averages, inputs, updates

Rule = Callable[[Evidence], Diagnosis | None]


def diagnose(evidence: Evidence) -> Diagnosis:
    """Returns the diagnosis that the evidence supports.

    Args:
        evidence: what is known of a layer, as `gather_evidence` returns it.

    Returns:
        The first verdict that applies, with its sentence, document and cure, and the names of the others; `"healthy"`
        if none applies.

    Example:
        >>> diagnose(evidence).verdict
        'lagging'
    """
    found = [diagnosis for rule in VERDICTS.values() if (diagnosis := rule(evidence)) is not None]
    first, *others = found or [_healthy(evidence)]
    return replace(first, also=tuple(other.verdict for other in others), findings=tuple(evidence.findings))


def _diverged(evidence: Evidence) -> Diagnosis | None:
    if not evidence.diverged:
        return None
    return Diagnosis(
        "diverged",
        f"the loss of step {evidence.diverged} is not finite: the layer is right, but nothing measured after that step "
        "is meaningful",
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
    "no_statistics": inputs.no_statistics,
    "updates_never_run": updates.updates_never_run,
    "separate_statistics": updates.separate_statistics,
    "moving_statistics_in_training": inputs.moving_statistics_in_training,
    "batch_statistics_at_inference": inputs.batch_statistics_at_inference,
    "leaks_at_inference": updates.leaks_at_inference,
    "test_data_in_statistics": updates.test_data_in_statistics,
    "unordered_average": updates.unordered_average,
    "double_update": updates.double_update,
    "wrong_recurrence": averages.wrong_recurrence,
    "wrong_normalisation": inputs.wrong_normalisation,
    "diverged": _diverged,
    "lagging": averages.lagging,
}
