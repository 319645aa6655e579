"""Diagnoses and verdicts: a verdict is a function that returns a diagnosis if the evidence shows its mistake, or None.

The modules here group them by what is wrong: the `updates`, what `inputs` are normalised with, or the `averages`. Their
order is in `bnexp.diagnosis.diagnose`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bnexp.diagnosis.audit import Finding


@dataclass(frozen=True)
class Diagnosis:
    """A verdict with its reasons.

    Attributes:
        verdict: a key of `bnexp.diagnosis.diagnose.VERDICTS`, or `"healthy"`.
        sentence: what was observed, with the figure that shows it.
        document: the document that describes the mistake; empty if the layer makes none.
        cure: what the user should do; empty if nothing.
        also: the other verdicts that apply, in the order of `VERDICTS`.
        findings: what the audit of the graph found, each finding with the name of its op.
        figures: the numbers in the sentence, by name.

    Example:
        >>> Diagnosis("healthy", "the statistics move in training alone").cure
        ''
    """

    verdict: str
    sentence: str
    document: str = ""
    cure: str = ""
    also: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
