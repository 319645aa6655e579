"""What differs between runs: the params that keep them apart, and those that are the same in all."""

from collections.abc import Sequence

from bnexp.compare.store import StoredRun

# what decides only where a run is kept, or which other run lent it its weights, which its other params name in full
BOOKKEEPING = ("tracking.uri", "tracking.experiment", "resume", "reuse", "restore")

# params that repeat the name of a group's choice
ECHOES = ("._target_", "._partial_")

# from what a comparison is about to what varies within it; keys of a group follow their group
ORDER = (
    "dataset", "network", "optimizer", "variant", "decay", "epsilon", "batch_size", "steps", "learning_rate",
    "seed", "eval_batch_size", "engine", "device",
)  # fmt: skip
LAST = "final_pass"


def canonical(text: str) -> float | str:
    """Returns a param's value so that equal values are equal: `"0.001"` and `"1e-3"` are one."""
    try:
        return float(text)
    except ValueError:
        return text


def rank(text: str) -> tuple[bool, float, str]:
    """Returns what a param's values sort by: numbers by size, then words."""
    value = canonical(text)
    return (False, value, text) if isinstance(value, float) and value == value else (True, 0.0, text)


def settings(run: StoredRun) -> dict[str, str]:
    """Returns the params that say what was measured, the seed included."""
    return {name: text for name, text in run.params.items() if name not in BOOKKEEPING and not name.endswith(ECHOES)}


def differing(runs: Sequence[StoredRun]) -> list[str]:
    """Returns the params in which runs differ, the seed apart, in the order of a table's columns.

    A group's own params count only where they differ within one choice of the group, and `variant.decay`, which repeats
    `decay`, does not count.
    """
    every = [settings(run) for run in runs]
    names = sorted({name for one in every for name in one} - {"seed"}, key=_place)
    found = []
    for name in names:
        owner = _owner(name)
        within = {(one.get(owner, ""), canonical(one.get(name, ""))) for one in every}
        if len({choice for choice, _ in within}) < len(within):
            found.append(name)
    return [name for name in found if not any(_repeats(name, key, every) for key in found)]


def same_in_all(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Returns the params without a dot that all runs share, in the order of a table's columns."""
    every = [settings(run) for run in runs]
    names = sorted({name for one in every for name in one if "." not in name}, key=_place)
    values = {name: {canonical(one.get(name, "")): one.get(name, "") for one in every} for name in names}
    return {name: next(iter(found.values())) for name, found in values.items() if len(found) == 1}


def _place(name: str) -> tuple[int, bool, str]:
    head = name.partition(".")[0]
    place = ORDER.index(head) if head in ORDER else len(ORDER) + (head == LAST)
    return place, "." in name, name


def _owner(name: str) -> str:
    """Returns the group whose choice brings a param along; empty for a param of its own."""
    if name == "learning_rate":  # set by the file of the optimizer
        return "optimizer"
    head, dot, _ = name.partition(".")
    return head if dot else ""


def _repeats(name: str, key: str, every: Sequence[dict[str, str]]) -> bool:
    # a variant without a decay has no variant.decay
    return (
        "." in name
        and "." not in key
        and all(canonical(one[name]) == canonical(one.get(key, "")) for one in every if name in one)
    )
