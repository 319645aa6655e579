"""The columns of a comparison's HTML table, and their meanings."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from bnexp.compare.table import Comparison

# by column: the unit in its heading, and its meaning
MEANINGS = {
    "verdict": (
        "",
        "What the layer was seen to do, in one word. Open the row for the sentence, the cure and the document.",
    ),
    "n": ("seeds", "Number of seeds that the row averages."),
    "accuracy": (
        "fraction right",
        "Test accuracy at eval_batch_size (one example at a time), after the final pass: the headline.",
    ),
    "before final pass": (
        "fraction right",
        "The same with the last moving averages, before the final pass replaced them.",
    ),
    "batched": ("fraction right", "Test accuracy in inference mode and large batches. It should equal the first."),
    "batch statistics": (
        "fraction right",
        "Test accuracy at eval_batch_size with the batch's own statistics: what a forgotten training flag gives.",
    ),
    "flips": (
        "predictions",
        "Test predictions that differ between eval_batch_size and large batches. A right layer has none.",
    ),
    "moved": ("largest change", "Largest change of any moving statistic caused by evaluating. A right layer has 0."),
    "mean error": (
        "std. dev., 0 is right",
        "Distance of the layer's moving mean from the population's mean when training ended, in population standard "
        "deviations, averaged over channels. 0 is right.",
    ),
    "variance ratio": (
        "1 is right",
        "The layer's moving variance over the population's when training ended, averaged over channels. 1 is right.",
    ),
}

LAYER_COLUMNS = ("mean error", "variance ratio")

# a cell is marked if its accuracies differ by more than this, which is more than a few flips by chance
MARKED_GAP = 0.005


@dataclass(frozen=True)
class Column:
    """A column of the HTML table.

    Attributes:
        name: the name in the column's heading.
        kind: `"key"`, `"verdict"`, `"number"`, or `"layer"`, which the page's script fills for the layer chosen there.
        unit: the unit in the column's heading; empty if there is none.
        meaning: a sentence that explains the column; empty for a key.
    """

    name: str
    kind: str
    unit: str = ""
    meaning: str = ""


def columns_of(comparison: Comparison) -> list[Column]:
    """Returns the columns that a comparison needs: without a final pass, for example, no accuracy before it.

    Args:
        comparison: the comparison to show.

    Example:
        >>> columns_of(compare(runs))[0]
        Column(name='verdict', kind='verdict', ...)
    """
    table = comparison.table
    numbers = ["n"] if comparison.averaged else []
    numbers += ["accuracy", "batched"]
    if (table["accuracy"] != table["before final pass"]).any():
        numbers.append("before final pass")
    numbers += ["batch statistics", "flips", "moved"]
    return [
        *(Column(key, "key") for key in comparison.keys),
        Column("verdict", "verdict", *MEANINGS["verdict"]),
        *(Column(name, "number", *MEANINGS[name]) for name in numbers),
        *(Column(name, "layer", *MEANINGS[name]) for name in LAYER_COLUMNS),
    ]


def row_cells(comparison: Comparison, row: int) -> list[dict[str, Any]]:
    """Returns the cells of a row, one for each of `columns_of`.

    Args:
        comparison: the comparison to show.
        row: the number of the row.

    Returns:
        For each cell `text`, `spread` (a standard deviation as text, or empty), `sort` (the text to sort by) and
        `kind` (the column's, for the style).

    Example:
        >>> row_cells(compare(runs), 0)[0]["kind"]
        'verdict'
    """
    record = comparison.table.iloc[row].to_dict()
    gap = abs(record["accuracy"] - record["batched"]) > MARKED_GAP
    cells = []
    for column in columns_of(comparison):
        value: Any = record.get(column.name, "")
        cell = {"kind": column.kind, "text": str(value), "sort": str(value), "spread": ""}
        if column.kind == "number":
            cell["text"] = number_text(column.name, value)
            cell["sort"] = str(value) if isfinite(value) else ""
            spread = record.get(f"{column.name} +-", float("nan"))
            cell["spread"] = f"{spread:.2g}" if spread > 0 and isfinite(spread) else ""
            cell["kind"] += " gap" if gap and column.name == "accuracy" else ""
        cells.append(cell)
    return cells


def number_text(name: str, value: float) -> str:
    """Returns a metric as text, as all tables show it.

    Args:
        name: the name of the column: accuracies get four decimal places, counts none.
        value: the value; infinity and NaN become `"-"`.

    Example:
        >>> number_text("accuracy", 0.97456), number_text("flips", 3.0)
        ('0.9746', '3')
    """
    if not isfinite(value):
        return "-"
    if name in ("n", "flips"):
        return format(value, "g")
    return format(value, ".3g" if name == "moved" else ".4f")
