"""Names the mistake of a layer, with a figure that shows it, the document that describes it, and the cure.

The verdict comes from what the layer *does* (its fingerprint, the audit of its graph, the measurements of the run),
never from its traits. It is one word: the first of `VERDICTS` that applies. A cause comes before its consequences, and
layers that do something wrong before those that do the right thing too slowly. Beside the verdict stands the harm.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isfinite

from bnexp.diagnosis.evidence import Evidence
from bnexp.diagnosis.verdict import Diagnosis, averages, inputs, updates

Rule = Callable[[Evidence], Diagnosis | None]


def diagnose(evidence: Evidence) -> Diagnosis:
    """Returns the diagnosis that the evidence supports.

    Where a final pass has replaced averages that were only too slow, the verdict is on what inference uses now.

    Args:
        evidence: what is known of a layer, as `gather_evidence` returns it.

    Returns:
        The first verdict that applies, with its sentence, harm, document and cure, and the names of the others;
        `"healthy"` if none applies.

    Example:
        >>> diagnose(evidence).verdict
        'lagging'
    """
    found = _mistakes(evidence)
    only_lagged = evidence.replaced and [diagnosis.verdict for diagnosis in found] == ["lagging"]
    if not found or only_lagged:
        # whatever else was found explains what the population's statistics gain
        behind = averages.behind_the_population(evidence)
        found = [behind] if behind else [_healthy(evidence), *found]
    first, *others = found
    harm, figures = _harm(first.verdict, evidence)
    parts = (first.sentence, harm, _attachment(first.verdict, evidence))
    return replace(
        first,
        sentence="; ".join(part for part in parts if part),
        figures={**first.figures, **figures},
        also=tuple(other.verdict for other in others),
        findings=tuple(evidence.findings),
    )


def _mistakes(evidence: Evidence) -> list[Diagnosis]:
    """Returns every diagnosis but `"healthy"` that the evidence supports, in the order of `VERDICTS`."""
    return [diagnosis for rule in VERDICTS.values() if (diagnosis := rule(evidence)) is not None]


def _diverged(evidence: Evidence) -> Diagnosis | None:
    if not evidence.diverged:
        return None
    return Diagnosis(
        "diverged",
        f"the loss of step {evidence.diverged} is not finite: the layer is right, but nothing measured after that step "
        "is meaningful",
        cure="take a smaller learning_rate",
        figures={"diverged": evidence.diverged},
    )


def _healthy(evidence: Evidence) -> Diagnosis:
    measured, figures = "", {}
    if isfinite(evidence.mean_error) and isfinite(evidence.variance_ratio):
        figures = {"mean_error": evidence.mean_error, "variance_ratio": evidence.variance_ratio}
        measured = (
            f"; at the end of training the moving mean was {evidence.mean_error:.2g} standard deviations from the "
            f"population's, the variance {evidence.variance_ratio:.3g} times the population's"
        ) + (", and the final pass has replaced them" if evidence.replaced else "")
    return Diagnosis(
        "healthy",
        f"the statistics move in training alone, by a right recurrence, and inference reads them{measured}",
        figures=figures,
    )


# verdicts whose whole harm is that inference uses other statistics than the population's
_OF_THE_STATISTICS = (
    "updates_never_run",
    "separate_statistics",
    "leaks_at_inference",
    "test_data_in_statistics",
    "unordered_average",
    "double_update",
    "wrong_recurrence",
)


def _harm(verdict: str, evidence: Evidence) -> tuple[str, dict[str, float]]:
    """Returns what the mistake costs in this run, and the figures of that; nothing if it was not measured."""
    harm = evidence.harm
    if not isfinite(harm.gain) or not isfinite(harm.gain_error) or evidence.diverged:
        return "", {}
    figures = {"accuracy": harm.accuracy, "population_accuracy": harm.population_accuracy}
    flips, flipped = {}, ""
    if harm.flips:
        flips, flipped = {"flips": harm.flips}, f", and large batches change {harm.flips} predictions"
    now = f"accuracy {harm.accuracy:.4f} one by one, {harm.population_accuracy:.4f} with the population's statistics"
    if harm.matters and not harm.gain_error:  # every example gains
        return f"it costs accuracy here: {now}{flipped}", figures | flips
    if harm.matters:
        errors = harm.gain / harm.gain_error
        words = f"it costs accuracy here: {now}, {errors:.1f} standard errors more{flipped}"
        return words, figures | flips | {"standard_errors": errors}
    if verdict in _OF_THE_STATISTICS and not harm.flips:
        return f"harmless here: {now}", figures
    return f"{now}{flipped}", figures | flips


def _attachment(verdict: str, evidence: Evidence) -> str:
    """Returns what becomes of updates that a custom layer leaves to whoever trains the network."""
    if not evidence.left or evidence.by_minimize is None:
        return ""
    alone = _mistakes(replace(evidence, fingerprint=evidence.by_minimize, findings=()))
    by_minimize = alone[0].verdict if alone else "healthy"
    waited = _AS_ATTACHED.get(verdict, verdict)
    plain = "never run" if by_minimize == "updates_never_run" else _AS_ATTACHED.get(by_minimize, by_minimize)
    return (
        f"its updates stand in {' and '.join(evidence.left)}: {waited} under a train op that waits for them, "
        f"{plain} by plain minimize"
    )


# what a verdict that does not mean a mistake says about the way in which updates are run
_AS_ATTACHED = {"healthy": "right", "lagging": "right"}

VERDICTS: Mapping[str, Rule] = {
    "no_statistics": inputs.no_statistics,
    "moving_statistics_in_training": inputs.moving_statistics_in_training,
    "batch_statistics_at_inference": inputs.batch_statistics_at_inference,
    "updates_never_run": updates.updates_never_run,
    "separate_statistics": updates.separate_statistics,
    "leaks_at_inference": updates.leaks_at_inference,
    "test_data_in_statistics": updates.test_data_in_statistics,
    "unordered_average": updates.unordered_average,
    "double_update": updates.double_update,
    "wrong_recurrence": averages.wrong_recurrence,
    "wrong_normalisation": inputs.wrong_normalisation,
    "diverged": _diverged,
    "lagging": averages.lagging,
}
