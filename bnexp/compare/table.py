"""From runs to a table: a row for each setting that differs, seeds averaged, everything else kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bnexp.compare.store import StoredRun

# the metrics that a comparison is about, and their short names in a table
METRICS = {
    "test/accuracy": "accuracy",
    "test/accuracy_before_final_pass": "before final pass",
    "test/accuracy_batched": "batched",
    "test/accuracy_batch_statistics": "batch statistics",
    "test/flips": "flips",
    "test/moved": "moved",
}

# params that say how or where a run was made, not what was measured
BOOKKEEPING = ("tracking.", "resume", "reuse", "restore", "dataset.path", "device", "engine")

# params that repeat another one
ECHOES = ("._target_", "._partial_")


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        keys: the params that differ between the runs, seed apart.
        table: a row for each combination of `keys`: the keys, `n` runs, the mean of each metric and, where n > 1, its
            spread (sample standard deviation) under `<metric> +-`, `verdict`, `document`, `sentence`.
        averaged_over: whether several seeds were averaged.
        unfinished: the runs that are not FINISHED; they are in no row.
    """

    keys: list[str]
    table: pd.DataFrame
    averaged_over: bool
    unfinished: list[StoredRun]


def compare(runs: Sequence[StoredRun]) -> Comparison:
    """Puts runs side by side, sorted by what differs between them.

    Runs are averaged only where they differ in nothing but the seed: any other param that differs is a key, and so keeps
    its runs apart and is named.

    Args:
        runs: finished ones are compared, others counted.
    """
    finished = [run for run in runs if run.status == "FINISHED"]
    keys = differing(finished)
    rows = [
        {key: run.params.get(key, "") for key in keys}
        | {"seed": run.params.get("seed", "")}
        | {short: run.metrics.get(metric, float("nan")) for metric, short in METRICS.items()}
        | {"verdict": run.verdict, "document": run.tags.get("bnexp.document", ""), "sentence": run.tags.get("bnexp.sentence", "")}
        | {"run_id": run.run_id}
        for run in finished
    ]
    frame = pd.DataFrame(rows, columns=[*keys, "seed", *METRICS.values(), "verdict", "document", "sentence", "run_id"])
    groups = frame.groupby(keys or (lambda _: 0), sort=False, dropna=False)
    table = groups[list(METRICS.values())].mean()
    table.insert(0, "n", groups.size())
    for name in METRICS.values():
        if (table["n"] > 1).any():
            table.insert(table.columns.get_loc(name) + 1, f"{name} +-", groups[name].std())
    # seeds of one setting share a verdict; where they do not, all are told
    for name in ("verdict", "document", "sentence", "run_id"):
        table[name] = groups[name].agg(lambda values: "; ".join(dict.fromkeys(value for value in values if value)))
    table = table.reset_index() if keys else table.reset_index(drop=True)
    table = table.sort_values(keys, key=_numbers_first, kind="stable", ignore_index=True) if keys else table
    unfinished = [run for run in runs if run.status != "FINISHED"]
    return Comparison(keys, table, bool((table["n"] > 1).any()), unfinished)


def differing(runs: Sequence[StoredRun]) -> list[str]:
    """Returns the params in which runs differ, seed and bookkeeping apart, groups first; a group's own keys only where
    they differ within one choice of it.
    """
    names = sorted({name for run in runs for name in run.params}, key=lambda name: ("." in name, name))
    keys: list[str] = []
    for name in names:
        if name == "seed" or name.startswith(BOOKKEEPING) or name.endswith(ECHOES):
            continue
        group = name.partition(".")[0]
        within = {(run.params.get(group, "") if "." in name else "", run.params.get(name, "")) for run in runs}
        explained = len({choice for choice, _ in within}) == len(within) if "." in name else len(within) == 1
        # variant.decay only repeats decay
        repeats = any(all(run.params.get(name) == run.params.get(key) for run in runs) for key in keys)
        if not explained and not repeats:
            keys.append(name)
    return keys


def _numbers_first(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().all() else column
