"""Writes the files of a comparison: the HTML page, the table as CSV, and the overlaid trajectories as PNG."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

from bnexp.compare.curves import RunCurves, read_curves
from bnexp.compare.html import html
from bnexp.compare.picture import draw_trajectories
from bnexp.compare.table import Comparison
from bnexp.errors import first_line
from bnexp.storage.arrays import write_whole
from bnexp.tracking.reader import Store


def write_pictures(store: Store, comparison: Comparison, folder: Path) -> list[str]:
    """Writes `comparison.html` and, if some run recorded trajectories, `trajectories.png`.

    Errors are returned and not raised, since a sweep's table is worth keeping without its pictures.

    Args:
        store: the tracking store that has the runs.
        comparison: the comparison of the runs.
        folder: the folder to write to, which must exist.

    Returns:
        One sentence for each file that could not be made, with the reason.

    Example:
        >>> write_pictures(store, compare(runs), folder)
        []
    """
    curves = cache(lambda: _curves(store, comparison))
    drawers: dict[str, Callable[[], bytes | None]] = {
        "comparison.html": lambda: _page(store, comparison, curves()),
        "trajectories.png": lambda: draw_trajectories(comparison, curves()),
    }
    problems = []
    for name, draw in drawers.items():
        try:
            content = draw()
            if content is not None:
                write_whole(folder / name, content)
        except Exception as error:
            problems.append(f"{name} could not be made ({type(error).__name__}: {first_line(error)}).")
    return problems


def write_csv(comparison: Comparison, path: Path) -> None:
    """Writes the table as CSV, atomically.

    Args:
        comparison: the comparison whose table is written.
        path: the file to write.

    Example:
        >>> write_csv(compare(runs), folder / "comparison.csv")
    """
    write_whole(path, comparison.table.to_csv(index=False).encode())


def write_page(store: Store, comparison: Comparison, path: Path) -> int:
    """Writes only the HTML page, atomically.

    Args:
        store: the tracking store that has the runs.
        comparison: the comparison of the runs.
        path: the file to write.

    Returns:
        The size of the page in bytes.

    Example:
        >>> write_page(store, compare(runs), folder / "comparison.html") > 1_000_000
        True
    """
    content = _page(store, comparison, _curves(store, comparison))
    write_whole(path, content)
    return len(content)


def _curves(store: Store, comparison: Comparison) -> dict[str, RunCurves]:
    return read_curves(store, [run for row in comparison.rows for run in row])


def _page(store: Store, comparison: Comparison, curves: dict[str, RunCurves]) -> bytes:
    now = datetime.now().astimezone()
    source = f"Made {now:%Y-%m-%d %H:%M %Z} by bnexp.compare from {store.shown_uri}, experiment {store.experiment}."
    return html(comparison, curves, source=source).encode()
