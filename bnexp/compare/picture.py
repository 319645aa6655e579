"""The overlaid trajectories of many runs as one PNG, an artifact of a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.compare.colours import colour
from bnexp.compare.curves import RunCurves
from bnexp.compare.table import Comparison
from bnexp.diagnosis.severity import Severity, severity

# the most layers that are drawn, as many as fit on a screen; the HTML report has all
MOST_LAYERS = 6

# with more lines than this, which cannot be told apart, colours stand for verdicts
MOST_LINES = 12

PALETTE = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")
DASHES = ("-", "--", ":")

# in the order of drawing: wrong layers are drawn last and thin, so that a right one's line below theirs can be seen
WIDTHS: Mapping[Severity, float] = {"none": 4.5, "good": 4.5, "slow": 3, "wrong": 1.5}

# two curves are drawn as one if they differ by less than this fraction of their height
COINCIDE = 0.01

INK = "#222222"


@dataclass(frozen=True)
class Line:
    """The line of one training.

    Attributes:
        curves: the trajectories that are drawn.
        rows: the numbers of the comparison's rows that this line stands for, because their trajectories look the same;
            those of runs that differ only in the final pass do.
        grade: how severe the verdict is.
        name: the name in the legend.
        colour: the colour of the line as `#rrggbb`.
        dash: Matplotlib's style of the line, `"--"`.
    """

    curves: RunCurves
    rows: list[int]
    grade: Severity
    name: str = ""
    colour: str = ""
    dash: str = "-"


def draw_trajectories(comparison: Comparison, curves: Mapping[str, RunCurves]) -> bytes | None:
    """Draws the moving mean and variance of the median channel of each layer, one line per training.

    Circles show the population's. Of several seeds only the first is drawn, since the channels of different seeds do
    not correspond to each other.

    Args:
        comparison: the comparison whose rows are drawn.
        curves: the trajectories by run id, as `read_curves` returns them.

    Returns:
        The content of the PNG file; None if no run has trajectories.

    Example:
        >>> draw_trajectories(compare(runs), read_curves(store, runs))[1:4]
        b'PNG'
    """
    lines = lines_of(comparison, curves)
    every = list(dict.fromkeys(layer for line in lines for layer in line.curves.layers))
    layers = every[:MOST_LAYERS]
    if not layers:
        return None
    figure = Figure(figsize=(12, 2 + 2.5 * len(layers)), layout="constrained")
    axes = figure.subplots(len(layers), 2, squeeze=False, sharex=True)
    for (mean_axes, variance_axes), layer in zip(axes, layers, strict=True):
        _draw(mean_axes, lines, layer, "mean")
        _draw(variance_axes, lines, layer, "variance")
        mean_axes.set_title(f"{layer}: moving mean of the median channel", fontsize=10)
        variance_axes.set_title(f"{layer}: moving variance of the median channel", fontsize=10)
        variance_axes.set_yscale("log", nonpositive="mask")
        for one in (mean_axes, variance_axes):
            one.grid(alpha=0.2)
    for bottom in axes[-1]:
        bottom.set_xlabel("training step")
    title = "verdict" if len(lines) > MOST_LINES else f"{' · '.join(comparison.keys) or 'run'}: verdict"
    handles: dict[str, Artist] = {}
    for one in axes.flat:
        handles |= {name: handle for handle, name in zip(*one.get_legend_handles_labels(), strict=True)}
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=9,
        title=title,
    )
    figure.suptitle(f"{comparison.title}\n{_caption(comparison, lines, len(every) - len(layers))}", fontsize=11)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def lines_of(comparison: Comparison, curves: Mapping[str, RunCurves]) -> list[Line]:
    """Returns the lines to draw, one for each distinct trajectory, in the order of drawing.

    Args:
        comparison: the comparison whose rows are drawn.
        curves: the trajectories by run id, as `read_curves` returns them.

    Example:
        >>> [line.dash for line in lines_of(compare(runs), read_curves(store, runs))]
        ['-']
    """
    verdicts = list(comparison.table["verdict"])
    found: list[Line] = []
    for number, row in enumerate(comparison.rows):
        # the first seed that has trajectories is drawn
        drawable = [curves[run.run_id] for run in row if curves[run.run_id].layers]
        if not drawable:
            continue
        twins = (line for line in found if verdicts[line.rows[0]] == verdicts[number])
        twin = next((line for line in twins if _coincide(line.curves, drawable[0])), None)
        if twin:
            twin.rows.append(number)
        else:
            found.append(Line(drawable[0], [number], severity(verdicts[number])))
    lines = []
    for number, line in enumerate(found):
        verdict = verdicts[line.rows[0]]
        if len(found) > MOST_LINES:
            lines.append(replace(line, name=verdict or "no verdict", colour=colour(verdict)))
        else:
            name = f"{_label(comparison, line.rows)}: {verdict or 'no verdict'}"
            dash = DASHES[number // len(PALETTE) % len(DASHES)]
            lines.append(replace(line, name=name, colour=PALETTE[number % len(PALETTE)], dash=dash))
    return sorted(lines, key=lambda line: list(WIDTHS).index(line.grade))


def _coincide(first: RunCurves, second: RunCurves) -> bool:
    if not np.array_equal(first.steps, second.steps) or list(first.layers) != list(second.layers):
        return False
    return all(
        _close(getattr(first.layers[layer], name), getattr(second.layers[layer], name))
        for layer in first.layers
        for name in ("moving_mean", "moving_variance")
    )


def _close(first: np.ndarray, second: np.ndarray) -> bool:
    """Tells whether the first channels of two arrays [shown, points] would look like one line."""
    finite = first[0][np.isfinite(first[0])]
    height = float(np.ptp(finite)) if len(finite) else 0.0
    return bool(np.allclose(first[0], second[0], rtol=COINCIDE / 10, atol=COINCIDE * height, equal_nan=True))


def _label(comparison: Comparison, rows: Sequence[int]) -> str:
    """Returns the rows' values of every key, different ones joined by a slash."""
    if not comparison.keys:
        return comparison.label(rows[0])
    values = [list(dict.fromkeys(comparison.table[key][row] or "-" for row in rows)) for key in comparison.keys]
    if np.prod([len(one) for one in values]) != len(rows):
        return f"{comparison.label(rows[0])} and {len(rows) - 1} equal ones"
    return " · ".join("/".join(one) for one in values)


def _caption(comparison: Comparison, lines: Sequence[Line], layers_left_out: int) -> str:
    words = ["Lines: what inference reads. Circles: the population with that step's weights."]
    if len(lines) > MOST_LINES:
        words.append(f"{len(lines)} trainings, too many to name: colours stand for verdicts.")
    if comparison.averaged:
        words.append("Of several seeds only the first is drawn.")
    if layers_left_out:
        words.append(f"{layers_left_out} more layers are in the HTML report.")
    return " ".join(words)


def _draw(axes: Axes, lines: Sequence[Line], layer: str, statistic: str) -> None:
    marks: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}
    for line in lines:
        if layer not in line.curves.layers:
            continue
        stored = line.curves.layers[layer]
        moving, population = (_drawable(getattr(stored, f"{kind}_{statistic}")[0]) for kind in ("moving", "population"))
        width = WIDTHS[line.grade]
        axes.plot(line.curves.steps, moving, line.dash, color=line.colour, linewidth=width, label=line.name)
        # trainings with the same weights have the same population, which is drawn once
        marks[population.tobytes()] = (line.curves.snapshot_steps, population)
    for steps, population in marks.values():
        axes.plot(
            steps, population, "o", markersize=5, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=0.9
        )


def _drawable(values: np.ndarray) -> np.ndarray:
    """Returns values with NaN, which leaves a gap in the line, for those that are not finite."""
    return np.where(np.isfinite(values), values, np.nan)
