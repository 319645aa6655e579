"""The colour of each verdict in pictures and pages."""

# warm colours for wrong layers, cold ones for right ones; all can be told apart on white and on black
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

# the colour of verdicts that are not in COLOURS: those of a newer version, or of seeds that disagree
OTHER_COLOUR = "#b02a37"


def colour(verdict: str) -> str:
    """Returns the colour of a verdict as `#rrggbb`.

    Args:
        verdict: a verdict; those of several seeds joined by `"; "`; or empty if there is none.

    Example:
        >>> colour("healthy")
        '#2f8fb3'
    """
    if not verdict:
        return COLOURS["no_statistics"]
    # verdicts of seeds that disagree are joined, and so not in COLOURS
    return COLOURS.get(verdict, OTHER_COLOUR)
