"""A comparison as text: a table for the terminal, and one in Markdown for a README or an issue."""

from rich import box
from rich.table import Table

from bnexp.compare.table import METRICS, Comparison


def cells(comparison: Comparison, *, document: bool) -> tuple[list[str], list[list[str]]]:
    """Returns the header and the rows of a comparison as strings; spreads stand beside their means.

    Args:
        comparison: what to show.
        document: whether to add the document that the verdict matches.
    """
    table = comparison.table
    header = [*comparison.keys, *(["n"] if comparison.averaged else []), *METRICS.values(), "verdict"]
    header += ["document"] if document else []
    rows = []
    for record in table.to_dict("records"):
        row = []
        for name in header:
            value = record[name]
            if name in ("flips", "moved"):
                text = format(value, "g" if name == "flips" else ".3g")
            elif name in METRICS.values():
                text = format(value, ".4f")
            else:
                text = str(value)
            spread = record.get(f"{name} +-")
            row.append(f"{text} ± {spread:.2g}" if spread is not None and spread == spread else text)
        rows.append(row)
    return header, rows


def terminal_table(comparison: Comparison, *, title: str) -> Table:
    """Returns a rich table."""
    header, rows = cells(comparison, document=False)
    # what adds nothing is left out: 80 columns are soon full
    final_pass = any(
        record["accuracy"] != record["before final pass"] for record in comparison.table.to_dict("records")
    )
    hidden = {"batch statistics"} | (set() if final_pass else {"before final pass"})
    shown = [i for i, name in enumerate(header) if name not in hidden]
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in (header[i] for i in shown):
        words = name in (*comparison.keys, "verdict")
        table.add_column(name, justify="left" if words else "right", overflow="fold" if words else "ellipsis")
    for row in rows:
        table.add_row(*(row[i] for i in shown), style="" if row[-1] in ("healthy", "no_statistics") else "red")
    return table


def markdown_table(comparison: Comparison) -> str:
    """Returns a GitHub-flavoured Markdown table, the documents included."""
    header, rows = cells(comparison, document=True)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
