"""The params in which runs differ, and those that are the same in all of them."""

from collections.abc import Sequence

from bnexp.tracking.reader import StoredRun

# params that do not affect results: where a run is tracked, how it was started, and the run whose weights it restored,
# whose settings are its other params
BOOKKEEPING = ("tracking.uri", "tracking.experiment", "resume", "reuse", "restore", "verbose")

# the ends of params that repeat the choice of a group
ECHOES = ("._target_", "._partial_")

# the order of a table's columns; a group's own params follow the group
ORDER = (
    "dataset", "network", "optimizer", "variant", "decay", "epsilon", "batch_size", "steps", "learning_rate",
    "seed", "eval_batch_size", "engine", "device",
)  # fmt: skip
LAST = "final_pass"


def canonical(text: str) -> float | str:
    """Returns a param's value as a number if it is one, so that equal numbers compare as equal.

    Args:
        text: the value as MLflow stores it.

    Example:
        >>> canonical("1e-3") == canonical("0.001"), canonical("ema")
        (True, 'ema')
    """
    try:
        return float(text)
    except ValueError:
        return text


def rank(text: str) -> tuple[bool, float, str]:
    """Returns a key for sorting the values of a param: numbers by size, then words.

    Args:
        text: the value as MLflow stores it.

    Example:
        >>> sorted(["ema", "10", "9"], key=rank)
        ['9', '10', 'ema']
    """
    value = canonical(text)
    return (False, value, text) if isinstance(value, float) and value == value else (True, 0.0, text)


def settings(run: StoredRun) -> dict[str, str]:
    """Returns the params of a run that may affect its results, with the seed.

    Args:
        run: a run from the tracking store.

    Example:
        >>> settings(run)["variant"]
        'update_ops'
    """
    return {name: text for name, text in run.params.items() if name not in BOOKKEEPING and not name.endswith(ECHOES)}


def differing(runs: Sequence[StoredRun]) -> list[str]:
    """Returns the names of the params other than the seed in which runs differ, in the order of a table's columns.

    A group's own params, such as `network.widths`, count only if they differ between runs with the same choice of the
    group. `variant.decay` does not count if it repeats `decay`.

    Args:
        runs: the runs to compare.

    Example:
        >>> differing([run])
        []
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
    """Returns the params that have the same value in all runs, in the order of a table's columns, with that value.

    Params with a dot in their name, a group's own, are left out.

    Args:
        runs: the runs to compare.

    Example:
        >>> same_in_all([run])["dataset"]
        'digits'
    """
    every = [settings(run) for run in runs]
    names = sorted({name for one in every for name in one if "." not in name}, key=_place)
    values = {name: {canonical(one.get(name, "")): one.get(name, "") for one in every} for name in names}
    return {name: next(iter(found.values())) for name, found in values.items() if len(found) == 1}


def _place(name: str) -> tuple[int, bool, str]:
    head = name.partition(".")[0]
    place = ORDER.index(head) if head in ORDER else len(ORDER) + (head == LAST)
    return place, "." in name, name


def _owner(name: str) -> str:
    """Returns the group whose choice sets a param; empty if none does."""
    if name == "learning_rate":  # set by the optimizer's file
        return "optimizer"
    head, dot, _ = name.partition(".")
    return head if dot else ""


def _repeats(name: str, key: str, every: Sequence[dict[str, str]]) -> bool:
    # runs without this param, such as variant.decay of a variant without a decay, do not count
    return (
        "." in name
        and "." not in key
        and all(canonical(one[name]) == canonical(one.get(key, "")) for one in every if name in one)
    )
