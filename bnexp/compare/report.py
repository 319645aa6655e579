"""What a comparison leaves behind: the HTML page, the table as CSV, the overlaid trajectories as PNG."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

from bnexp.checkpoint import write_whole
from bnexp.compare.curves import RunCurves, read_curves
from bnexp.compare.html import html
from bnexp.compare.picture import draw_trajectories
from bnexp.compare.store import Store
from bnexp.compare.table import Comparison
from bnexp.errors import first_line


def write_pictures(store: Store, comparison: Comparison, folder: Path) -> list[str]:
    """Writes `comparison.html` and, where some run recorded trajectories, `trajectories.png`.

    Whoever keeps a sweep's table wants it whatever becomes of its pictures: a failure is returned, not raised.

    Args:
        store: where the runs are.
        comparison: of them.
        folder: is there.

    Returns:
        Which files could not be made and why, a sentence each.
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
    """Writes the table as CSV, whole or not at all."""
    write_whole(path, comparison.table.to_csv(index=False).encode())


def write_page(store: Store, comparison: Comparison, path: Path) -> int:
    """Writes the HTML page alone, whole or not at all.

    Returns:
        Its size in bytes.
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
