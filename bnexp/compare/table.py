"""Makes a table of runs: a row for each combination of settings that differ, averaged over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd

from bnexp import names
from bnexp.compare.keys import canonical, differing, rank, same_in_all, settings
from bnexp.errors import UserError
from bnexp.tracking.reader import StoredRun

# the metrics of a comparison, and their column names
METRICS = {
    names.ACCURACY: "accuracy",
    names.ACCURACY_BEFORE: "before final pass",
    names.ACCURACY_BATCHED: "batched",
    names.ACCURACY_BATCH_STATISTICS: "batch statistics",
    names.FLIPS: "flips",
    names.MOVED: "moved",
}

# the tags of the diagnosis, and their column names
DIAGNOSIS = {
    names.VERDICT_TAG: "verdict",
    names.SENTENCE_TAG: "sentence",
    names.CURE_TAG: "cure",
    names.DOCUMENT_TAG: "document",
}


@dataclass(frozen=True)
class Comparison:
    """A comparison of runs.

    Attributes:
        keys: the names of the params in which the runs differ, without the seed; those of `by` come first.
        same: the params that have the same value in all runs, with that value.
        table: one row for each combination of values of `keys`. Columns: the keys, as text; `n`, the number of runs;
            the mean of each metric and, if some n > 1, its sample standard deviation as `<metric> +-`; `verdict`,
            `sentence`, `cure`, `document` and `run_id`.
        rows: the runs of each row of the table, one per seed.
        repeated: finished runs with the same params and seed as another one; they are in no row.
        unfinished: the runs that are not FINISHED; they are in no row.
        notes: sentences that a reader needs for understanding the rows.
    """

    keys: list[str]
    same: dict[str, str]
    table: pd.DataFrame
    rows: list[list[StoredRun]]
    repeated: list[StoredRun]
    unfinished: list[StoredRun]
    notes: list[str]

    @property
    def averaged(self) -> bool:
        """Tells whether some row averages several seeds."""
        return any(len(row) > 1 for row in self.rows)

    @property
    def title(self) -> str:
        """Returns a line that says how many runs are compared and in what they differ."""
        count = sum(map(len, self.rows))
        if count < 2:
            return "1 run" if count else "no finished run"
        return f"{count} runs that differ in {', '.join(self.keys) or 'nothing but the seed'}"

    def label(self, row: int) -> str:
        """Returns the values of a row's keys; without keys the variant.

        Args:
            row: the number of the row.
        """
        if self.keys:
            return " · ".join(self.table[key][row] or "-" for key in self.keys)
        return self.rows[row][0].params.get("variant") or self.rows[row][0].name


def compare(runs: Sequence[StoredRun], *, by: Sequence[str] = (), sort: str = "") -> Comparison:
    """Compares runs: one row for each combination of the params in which they differ.

    Only runs that differ in nothing but the seed are averaged.

    Args:
        runs: the runs to compare; those that are not FINISHED are only listed.
        by: the names of the params in the first columns, even if they do not differ. With `seed` nothing is averaged.
        sort: the column to sort the rows by, with a `-` before it for descending; empty sorts by the keys.

    Raises:
        UserError: no run has a param that is named in `by`, or the table has no column `sort`.

    Example:
        >>> compare(runs, by=["variant"], sort="-accuracy").keys[0]
        'variant'
    """
    finished, repeated = _distinct([run for run in runs if run.status == "FINISHED"])
    found = differing(finished)
    _check_names(by, finished)
    keys = [*dict.fromkeys(by), *(key for key in found if key not in by)]
    groups: dict[tuple[float | str, ...], list[StoredRun]] = {}
    for run in finished:
        groups.setdefault(tuple(canonical(run.params.get(key, "")) for key in keys), []).append(run)
    for group in groups.values():
        group.sort(key=lambda run: rank(run.params.get("seed", "")))
    rows = sorted(groups.values(), key=lambda group: [rank(group[0].params.get(key, "")) for key in keys])
    averaged = any(len(row) > 1 for row in rows)
    spreads = [f"{name} +-" for name in METRICS.values()] if averaged else []
    columns = [name for pair in zip(METRICS.values(), spreads or METRICS.values(), strict=True) for name in pair]
    table = pd.DataFrame(
        [_record(row, keys) for row in rows],
        columns=[*keys, "n", *dict.fromkeys(columns), *DIAGNOSIS.values(), "run_id"],
    )
    if sort:
        order = _order(table, sort)
        table, rows = table.iloc[order].reset_index(drop=True), [rows[i] for i in order]
    same = {name: text for name, text in same_in_all(finished).items() if name not in keys}
    unfinished = [run for run in runs if run.status != "FINISHED"]
    notes = [*_other_keys(by, keys), *_repeats(repeated, finished)]
    return Comparison(keys, same, table, rows, repeated, unfinished, notes)


def _distinct(runs: Sequence[StoredRun]) -> tuple[list[StoredRun], list[StoredRun]]:
    """Splits runs into those to keep and those that repeat the params and the seed of a kept one.

    Of equal runs the newest is kept, but a trained run is preferred to a restored one, which has no trajectories.
    """
    order = sorted(runs, key=lambda run: (run.params.get("restore", "None") == "None", run.started))
    kept = {_identity(run): run.run_id for run in order}
    distinct = list({run.run_id: run for run in runs if kept[_identity(run)] == run.run_id}.values())
    return distinct, list({run.run_id: run for run in runs if kept[_identity(run)] != run.run_id}.values())


def _identity(run: StoredRun) -> frozenset[tuple[str, float | str]]:
    return frozenset((name, canonical(text)) for name, text in settings(run).items())


def _record(row: Sequence[StoredRun], keys: Sequence[str]) -> dict[str, str | float]:
    record: dict[str, str | float] = {key: row[0].params.get(key, "") for key in keys} | {"n": len(row)}
    for metric, name in METRICS.items():
        # the mean is NaN if a run lacks the metric
        values = np.array([run.metrics.get(metric, np.nan) for run in row])
        record[name] = float(values.mean())
        record[f"{name} +-"] = float(values.std(ddof=1)) if len(row) > 1 else float("nan")
    # the seeds of a row usually have the same verdict; if not, all verdicts are listed, each with its first run's words
    speakers = list({run.verdict: run for run in reversed(row)}.values())[::-1]
    for tag, name in DIAGNOSIS.items():
        record[name] = "; ".join(text for run in speakers if (text := run.tags.get(tag, "")))
    return record | {"run_id": "; ".join(run.run_id for run in row)}


def _order(table: pd.DataFrame, sort: str) -> list[int]:
    """Returns the numbers of the rows sorted by a column; rows without a value come last in both directions."""
    name = sort.removeprefix("-")
    if name not in table:
        near = get_close_matches(name, table.columns, n=3) or [
            column for column in map(str, table) if "+-" not in column
        ]
        raise UserError(f"sort={sort}: the table has no such column. Take {', '.join(near)}.")
    places = [rank(str(value)) for value in table[name]]
    known = [i for i in range(len(table)) if not pd.isna(table[name][i])]
    known.sort(key=lambda i: places[i], reverse=sort.startswith("-"))
    return [*known, *(i for i in range(len(table)) if i not in set(known))]


def _check_names(by: Sequence[str], runs: Sequence[StoredRun]) -> None:
    known = {name for run in runs for name in run.params}
    for name in by:
        if runs and name not in known:
            near = get_close_matches(name, known, n=3) or sorted(n for n in known if "." not in n)
            raise UserError(f"by=[{name}]: no run has such a param. Take {', '.join(near)}.")


def _other_keys(by: Sequence[str], keys: Sequence[str]) -> list[str]:
    others = [key for key in keys if key not in by]
    if not by or not others:
        return []
    return [f"Runs equal in {', '.join(by)} also differ in {', '.join(others)}: they are kept apart, not averaged."]


def _repeats(repeated: Sequence[StoredRun], kept: Sequence[StoredRun]) -> list[str]:
    if not repeated:
        return []
    twins = {_identity(run): run for run in kept}
    names = ", ".join(dict.fromkeys(run.name for run in repeated))
    count = f"{len(repeated)} runs repeat" if len(repeated) > 1 else "1 run repeats"
    note = f"{count} the params and the seed of a newer one, which alone is shown: {names}."
    changed = [
        run.name
        for run in repeated
        if any(run.metrics.get(metric) != twins[_identity(run)].metrics.get(metric) for metric in METRICS)
    ]
    if changed:
        note += f" Its figures changed: {', '.join(dict.fromkeys(changed))}."
    return [note]
