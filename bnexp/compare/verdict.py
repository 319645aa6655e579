"""How grave a verdict is, and the colour that it has in every table and picture."""

from typing import Literal

# healthy; lagging: right, but too slow; wrong in kind; nothing to judge
Tone = Literal["good", "slow", "wrong", "none"]

# warm for what is wrong, cold for what is right, each apart from the others on white and on black
COLOURS = {
    "healthy": "#2f8fb3",
    "no_statistics": "#8b929c",
    "lagging": "#d69a00",
    "updates_never_run": "#e03131",
    "separate_statistics": "#9c36b5",
    "moving_statistics_in_training": "#e8590c",
    "batch_statistics_at_inference": "#f0308a",
    "leaks_at_inference": "#c2255c",
    "test_data_in_statistics": "#7a5af0",
    "unordered_average": "#b07d4f",
    "double_update": "#ff7a66",
    "wrong_recurrence": "#a8471f",
    "wrong_normalisation": "#7a3b69",
    "diverged": "#6b4f4f",
}

# of a verdict that is younger than this file
OTHER_COLOUR = "#b02a37"

SIGNS = {"good": "✓", "slow": "◷", "wrong": "✗", "none": "-"}


def tone(verdict: str) -> Tone:
    """Returns how grave a verdict is; of several in one row, joined by `"; "`, the gravest."""
    words = verdict.split("; ")
    if any(word not in ("healthy", "lagging", "no_statistics", "") for word in words):
        return "wrong"
    if "lagging" in words:
        return "slow"
    return "good" if "healthy" in words else "none"


def colour(verdict: str) -> str:
    """Returns the colour of a verdict as `#rrggbb`."""
    if not verdict:
        return COLOURS["no_statistics"]
    # rows whose seeds disagree have a colour of their own
    return COLOURS.get(verdict, OTHER_COLOUR)
