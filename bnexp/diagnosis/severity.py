"""How severe each verdict is, and its style in the terminal."""

from typing import Literal

# right; right, but too slow; wrong; no moving statistics, or no verdict
Severity = Literal["good", "slow", "wrong", "none"]

# the verdicts that do not mean that the layer is wrong
_SEVERITIES: dict[str, Severity] = {"healthy": "good", "lagging": "slow", "no_statistics": "none", "": "none"}

# rich styles
STYLES: dict[Severity, str] = {"good": "green", "slow": "yellow", "wrong": "red", "none": ""}

# the sign that is shown beside the colour
SIGNS: dict[Severity, str] = {"good": "✓", "slow": "◷", "wrong": "✗", "none": "-"}


def severity(verdict: str) -> Severity:
    """Returns how severe a verdict is.

    Args:
        verdict: a verdict; or those of several runs, joined by `"; "`, of which the most severe counts; or an empty
            string if there is none.

    Example:
        >>> severity("lagging"), severity("healthy; double_update")
        ('slow', 'wrong')
    """
    found = {_SEVERITIES.get(word, "wrong") for word in verdict.split("; ")}
    gravest: tuple[Severity, ...] = ("wrong", "slow", "good")
    return next((grave for grave in gravest if grave in found), "none")


def style(verdict: str) -> str:
    """Returns the rich style of a verdict, or of several as for `severity`.

    Args:
        verdict: a verdict, verdicts joined by `"; "`, or empty if there is none.

    Example:
        >>> style("leaks_at_inference")
        'red'
    """
    return STYLES[severity(verdict)]
