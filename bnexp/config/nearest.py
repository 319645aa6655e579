"""Suggests the name that a misspelt one may stand for."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Returns `"Did you mean NAME?"` for the name nearest to `given`; an empty string if none is near.

    Args:
        given: the name that the user wrote.
        known: the names that exist.

    Example:
        >>> did_you_mean("em", ["contrib", "ema", "update_ops"])
        'Did you mean ema?'
    """
    near = get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else ""
