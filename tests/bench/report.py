"""What was measured, as it goes to the terminal, to JSON and to one HTML page with its pictures inside."""

import base64
import html
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from .floor import Machine
from .peers import Timing
from .scale import Curve
from .targets import Row

PACKAGES = ("bnexp", "tensorflow", "keras", "torch", "jax", "fvcore", "mlflow", "numpy")
WORDS = {True: "met", False: "missed", None: ""}


@dataclass
class Results:
    """Everything of one run of the benchmark.

    Attributes:
        about: date, machine, data and repetitions, by name.
        timings: by work.
        rows: the table of targets.
        curves: how cost grows.
    """

    about: dict[str, str]
    timings: dict[str, Mapping[str, Timing]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    def add(
        self, console: Console, rows: Sequence[Row], work: str = "", timings: Mapping[str, Timing] | None = None
    ) -> None:
        """Keeps what a section measured, and shows it."""
        if timings:
            self.timings[work] = timings
            console.print(timings_table(work, timings))
        self.rows += rows
        console.print(rows_table(rows))

    def write(self, folder: Path) -> None:
        """Writes bench.json and bench.html."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [asdict(row) | {"met": row.met} for row in self.rows]
        timings = {work: {name: asdict(timing) for name, timing in by.items()} for work, by in self.timings.items()}
        curves = [asdict(curve) | {"exponent": curve.exponent} for curve in self.curves]
        whole: dict[str, Any] = {"about": self.about, "rows": rows, "timings": timings, "curves": curves}
        (folder / "bench.json").write_text(json.dumps(whole, indent=1))
        (folder / "bench.html").write_text(_page(self))


def about(machine: Machine, data: str, repetitions: int, date: str) -> dict[str, str]:
    """Describes where and how it was measured."""
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": date,
        "machine": f"{platform.machine()}, {cores} cores; float32 GEMM {machine.gemm / 1e9:.0f} GFLOP/s, "
        f"copy {machine.copy / 1e9:.1f} GB/s, load {os.getloadavg()[0]:.1f}",
        "software": ", ".join([f"Python {platform.python_version()}", *versions]),
        "data": data,
        "repetitions": f"{repetitions}, taken in turn; medians, with the smallest and largest",
    }


def timings_table(work: str, timings: Mapping[str, Timing]) -> Table:
    """Returns everybody's rates."""
    table = Table(title=work, title_justify="left")
    for name in ("who", "a second", "from", "to", "CPU, us", "first call, s", "distance"):
        table.add_column(name, justify="left" if name == "who" else "right")
    for name, timing in sorted(timings.items(), key=lambda item: -item[1].rate):
        low, high = min(timing.rates), max(timing.rates)
        numbers = (f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (timing.rate, low, high))
        table.add_row(name, *numbers, f"{timing.cpu * 1e6:,.1f}", f"{timing.first:.2f}", f"{timing.distance:.1e}")
    return table


def rows_table(rows: Sequence[Row]) -> Table:
    """Returns measurements beside their targets."""
    table = Table()
    for name in ("work", "against", "measured", "from", "to", "target", ""):
        table.add_column(name, justify="right" if name in ("measured", "from", "to", "target") else "left")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    numbers = (f"{value:.3g}" for value in (row.measured.median, row.measured.low, row.measured.high))
    target = "" if row.target is None else f"{row.sense} {row.target:g} {row.unit}"
    return row.work, row.against, *numbers, target, WORDS[row.met]


STYLE = """body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}.missed{color:#b00;font-weight:bold}.met{color:#070}
img{max-width:100%}"""


def _page(results: Results) -> str:
    parts = [f"<h1>How fast bnexp is</h1>{_facts(results.about)}<h2>Targets</h2>{_targets(results.rows)}"]
    parts += [f"<h2>{html.escape(work)}</h2>{_bars(work, timings)}" for work, timings in results.timings.items()]
    if results.curves:
        parts.append("<h2>How cost grows</h2>" + "".join(_curve(curve) for curve in results.curves))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>bnexp bench</title><style>{STYLE}</style>'
        + "".join(parts)
        + "</html>"
    )


def _facts(facts: Mapping[str, str]) -> str:
    return "<ul>" + "".join(f"<li>{name}: {html.escape(value)}</li>" for name, value in facts.items()) + "</ul>"


def _targets(rows: Sequence[Row]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("work", "against", "measured", "from", "to", "target", ""))
    lines = []
    for row in rows:
        work, other, *numbers, target, word = map(html.escape, _cells(row))
        cells = f"<td>{work}</td><td>{other}</td>" + "".join(f'<td class="n">{n}</td>' for n in (*numbers, target))
        lines.append(f'<tr>{cells}<td class="{word}">{word}</td></tr>')
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _bars(work: str, timings: Mapping[str, Timing]) -> str:
    figure = Figure(figsize=(9, 0.4 * len(timings) + 1), layout="constrained")
    axes = figure.add_subplot()
    names = sorted(timings, key=lambda name: timings[name].rate)
    rates = [timings[name].rate for name in names]
    errors = [
        [rate - min(timings[name].rates) for name, rate in zip(names, rates, strict=True)],
        [max(timings[name].rates) - rate for name, rate in zip(names, rates, strict=True)],
    ]
    colours = ["tab:orange" if name.startswith("bnexp") else "tab:blue" for name in names]
    # points and no bars: on a logarithmic axis a bar's length means nothing
    axes.errorbar(rates, names, xerr=errors, fmt="none", ecolor="0.4", zorder=1)
    axes.scatter(rates, names, color=colours, zorder=2)
    axes.set_xscale("log")
    axes.grid(alpha=0.2, which="both")
    axes.set_xlabel("a second: steps, or examples")
    return _image(figure, work)


def _curve(curve: Curve) -> str:
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(curve.sizes, curve.costs, "o-", color="tab:orange")
    axes.set_xlabel(curve.what)
    axes.set_ylabel(curve.unit)
    axes.set_title(f"{curve.title}: size to the power {curve.exponent:.2f} at the end", fontsize=10)
    return _image(figure, curve.title)


def _image(figure: Figure, title: str) -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="svg")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<p><img alt="{html.escape(title)}" src="data:image/svg+xml;base64,{encoded}"></p>'
