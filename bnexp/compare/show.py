"""A comparison as text: a table for the terminal, and one in Markdown for a README or an issue."""

import re
from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Console
from rich.markup import escape

from bnexp.compare.columns import number_text
from bnexp.compare.table import METRICS, Comparison
from bnexp.diagnosis.severity import style
from bnexp.names import ERROR_TAG

# the metrics in the terminal; the report and Markdown have `batch statistics` too
TERMINAL = ("accuracy", "before final pass", "batched", "flips", "moved")

# the columns that are left out in a narrow terminal, in this order
EXPENDABLE = ("moved", "flips", "before final pass", "batched")

# spaces between columns
GAP = 2

# the width for a pipe, enough for every table
UNLIMITED = 10_000


def cells(comparison: Comparison, names: Sequence[str]) -> list[list[str]]:
    """Returns a table's cells as text, row by row.

    Args:
        comparison: the comparison to show.
        names: the names of the columns to return; `mean ± spread` is one cell.

    Example:
        >>> cells(compare(runs, by=["variant"]), ["variant", "flips"])
        [['update_ops', '0']]
    """
    rows = []
    for record in comparison.table.to_dict("records"):
        row = []
        for name in names:
            value = record[name]
            text = number_text(name, value) if name in ("n", *METRICS.values()) else str(value)
            text = text or ("-" if name in comparison.keys else "")
            spread = record.get(f"{name} +-", float("nan"))
            row.append(f"{text} ± {spread:.2g}" if spread > 0 else text)
        rows.append(row)
    return rows


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Prints the table, the params that all runs share, the notes, and the runs that did not finish.

    Args:
        console: where to print; the table is fitted to the width of a terminal, but not in a pipe.
        comparison: the comparison to show.

    Example:
        >>> print_comparison(Console(), compare(runs))
        1 run
        ...
    """

    def say(text: str, style: str = "", *, whole: bool = not console.is_terminal) -> None:
        # lines are wrapped at words in a terminal, and not wrapped in a pipe
        console.print(escape(text), highlight=False, soft_wrap=whole, style=style)

    say(comparison.title, "bold")
    say("")
    if comparison.rows:
        # in a pipe there is no width to fit
        lines, missing = table_lines(comparison, width=console.width if console.is_terminal else UNLIMITED)
        for text, style in lines:
            say(text, style, whole=True)
        say("")
        for text in missing:
            say(text)
    if comparison.averaged:
        say("± is the sample standard deviation over n seeds; without it the seeds agree")
    if comparison.same:
        say("the same in all runs: " + ", ".join(f"{key} {text}" for key, text in comparison.same.items()))
    for note in comparison.notes:
        say(note)
    if comparison.unfinished:
        count = len(comparison.unfinished)
        say(f"{count} {'run' if count == 1 else 'runs'} did not finish and {'is' if count == 1 else 'are'} in no row:")
        for run in comparison.unfinished:
            say(f"  {run.status} {run.name}: {run.tags.get(ERROR_TAG, 'no message')}", "red")


def table_lines(comparison: Comparison, *, width: int) -> tuple[list[tuple[str, str]], list[str]]:
    """Formats a comparison as lines of text.

    Columns that add nothing are left out: `flips` and `moved` if they are the same in all rows, the accuracy before a
    final pass that changed nothing, and `n` if no row averages several seeds. If the table is still too wide,
    `EXPENDABLE` columns are left out, and in the end words are broken.

    Args:
        comparison: the comparison to show, with at least one row.
        width: the width of the terminal in characters.

    Returns:
        The lines, each with its rich style; and a sentence about each kind of column that was left out.

    Example:
        >>> lines, missing = table_lines(compare(runs), width=80)
    """
    data = comparison.table
    names = [*comparison.keys, *(["n"] if comparison.averaged else []), *TERMINAL, "verdict"]
    if (data["accuracy"] == data["before final pass"]).all():
        names.remove("before final pass")
    columns = dict(zip(names, zip(*cells(comparison, names), strict=True), strict=True))
    missing = []
    for name in ("flips", "moved"):
        if len(data) > 1 and len(set(columns[name])) == 1:
            missing.append(f"{name} is {columns.pop(name)[0]} in all rows")
    if gone := _make_fit(columns, width):
        missing.append(f"left out in this narrow terminal, and in the report: {', '.join(gone)}")
    words = [name in (*comparison.keys, "verdict") for name in columns]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    starts = [i == 0 or row[0] != rows[i - 1][0] for i, row in enumerate(rows)]
    grouped = len(comparison.keys) > 1 and len({row[0] for row in rows}) == sum(starts) < len(rows)
    shown = _without_repetition(rows, len(comparison.keys))
    widths = _widths([list(columns), *shown], words, width)
    lines = [(line, "bold") for line in _row_lines(list(columns), widths, words)]
    lines.append(("─" * (sum(widths) + GAP * (len(widths) - 1)), ""))
    for i, row in enumerate(shown):
        if i and starts[i] and grouped:
            lines.append(("", ""))
        lines += [(line, style(data["verdict"][i])) for line in _row_lines(row, widths, words)]
    return lines, missing


def _row_lines(row: Sequence[str], widths: Sequence[int], words: Sequence[bool]) -> list[str]:
    """Returns a row as one or more lines, in which words are aligned left, figures right, and long texts folded."""
    folded = [fold(text, limit) for text, limit in zip(row, widths, strict=True)]
    lines = []
    for parts in zip_longest(*folded, fillvalue=""):
        placed = zip(parts, widths, words, strict=True)
        texts = [text.ljust(limit) if is_words else text.rjust(limit) for text, limit, is_words in placed]
        lines.append((" " * GAP).join(texts).rstrip())
    return lines


def _make_fit(columns: dict[str, tuple[str, ...]], width: int) -> list[str]:
    """Removes expendable columns until the others fit with folded words; returns the names of the removed ones."""
    gone = []
    for name in EXPENDABLE:
        least = sum(max(_longest(heading), *map(_longest, texts)) + GAP for heading, texts in columns.items()) - GAP
        if least <= width:
            break
        if columns.pop(name, None):
            gone.append(name)
    return gone[::-1]


def _longest(text: str) -> int:
    """Returns the width of a cell that is folded as much as possible; figures with a spread are not folded."""
    return len(text) if "±" in text else max((len(piece.rstrip()) for piece in _pieces(text)), default=0)


def _without_repetition(rows: Sequence[list[str]], keys: int) -> list[list[str]]:
    """Blanks the leading keys that a row has in common with the row above, so that groups are visible."""
    shown = []
    for i, row in enumerate(rows):
        same = 0
        while i and same < keys - 1 and row[same] == rows[i - 1][same]:
            same += 1
        shown.append([""] * same + row[same:])
    return shown


def _widths(rows: Sequence[Sequence[str]], words: Sequence[bool], width: int) -> list[int]:
    """Returns the columns' widths: figures keep theirs, and of the columns of words the widest is narrowed first."""
    columns = list(zip(*rows, strict=True))
    # figures are not folded, but their heading, the first text of the column, may be
    widths = [
        max(map(len, texts)) if is_words else max(_longest(texts[0]), *map(len, texts[1:]))
        for texts, is_words in zip(columns, words, strict=True)
    ]
    # words are folded at their ends, and if that is still too wide, anywhere
    for least in ([max(map(_longest, texts)) for texts in columns], [1] * len(columns)):
        while sum(widths) + GAP * (len(widths) - 1) > width:
            free = [i for i, is_words in enumerate(words) if is_words and widths[i] > least[i]]
            if not free:
                break
            widths[max(free, key=lambda i: widths[i])] -= 1
    return widths


def _pieces(text: str) -> list[str]:
    return re.findall(r"[^_./,\s-]*[_./,\s-]+|[^_./,\s-]+", text)


def fold(text: str, width: int) -> list[str]:
    """Breaks a text into lines, after `_`, `.`, `/`, `,`, `-` or a space if possible, and anywhere if not.

    Args:
        text: the text of a cell.
        width: the most characters in a line, 1 or more.

    Example:
        >>> fold("update_ops_forgotten", 12)
        ['update_ops_', 'forgotten']
    """
    if len(text) <= width:
        return [text]
    lines = [""]
    for piece in _pieces(text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]


def markdown_table(comparison: Comparison) -> str:
    """Returns the table in GitHub-flavoured Markdown, with all metrics and the documents of the verdicts.

    Args:
        comparison: the comparison to show.

    Example:
        >>> markdown_table(compare(runs)).splitlines()[1]
        '| --- | --- | --- | --- | --- | --- | --- | --- |'
    """
    numbers = [*(["n"] if comparison.averaged else []), *METRICS.values()]
    names = [*comparison.keys, *numbers, "verdict", "document"]
    lines = [names, ["---"] * len(names), *cells(comparison, names)]
    return "\n".join(f"| {' | '.join(map(_markdown, line))} |" for line in lines)


def _markdown(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
