"""The columns of a comparison's HTML table, and what each of them means."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

from bnexp.compare.table import Comparison

# a column's unit, for its heading, and what it means
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

# a difference of accuracies that is more than a flip or two of chance: the cell is marked
MARKED_GAP = 0.005


@dataclass(frozen=True)
class Column:
    """A column of the HTML table.

    Attributes:
        name: in its heading.
        kind: `"key"`, `"verdict"`, `"number"` or `"layer"` (filled by the page's script, for the layer chosen there).
        unit: in its heading.
        meaning: in a sentence.
    """

    name: str
    kind: str
    unit: str = ""
    meaning: str = ""


def columns_of(comparison: Comparison) -> list[Column]:
    """Returns the columns that a comparison needs."""
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
    """Returns a row's cells: `text`, `spread`, what to `sort` by, and `kind` for the style."""
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
    """Returns a metric as every table writes it: accuracies with four places, counts without."""
    if not isfinite(value):
        return "-"
    if name in ("n", "flips"):
        return format(value, "g")
    return format(value, ".3g" if name == "moved" else ".4f")
