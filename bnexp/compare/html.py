"""A comparison as one self-contained HTML page: table, accuracies, trajectories, filters; no network, ever."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bnexp.compare.columns import columns_of, row_cells
from bnexp.compare.curves import PERCENTILES, RunCurves, fitting
from bnexp.compare.data import in_script, script_data, values_of
from bnexp.compare.table import Comparison
from bnexp.compare.verdict import SIGNS, Tone, colour, tone

# in the order in which they build on each other
SCRIPTS = ("values.js", "table.js", "plots.js", "accuracy.js", "curves.js", "trajectories.js", "report.js")

# what a tally says of each tone; one and several
TALLY: Mapping[Tone, tuple[str, str]] = {
    "good": ("run is healthy", "runs are healthy"),
    "slow": ("run lags: right, but too slow", "runs lag: right, but too slow"),
    "wrong": ("run is wrong", "runs are wrong"),
    "none": ("run has nothing to judge", "runs have nothing to judge"),
}


def html(comparison: Comparison, curves: Mapping[str, RunCurves], *, source: str) -> str:
    """Returns the report.

    Args:
        comparison: what to show.
        curves: trajectories by run id, from `read_curves`.
        source: says when and from which store the report was made.
    """
    # here, since importing it takes half a second
    from plotly.offline import get_plotlyjs

    curves = fitting(curves)
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("bnexp.compare", "page"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["foldable"] = foldable
    page = files("bnexp.compare") / "page"
    verdicts = list(comparison.table["verdict"])
    layers = list(dict.fromkeys(layer for run in curves.values() for layer in run.layers))
    shown = max((len(layer.channels) for run in curves.values() for layer in run.layers.values()), default=0)
    return environment.get_template("report.html").render(
        title=comparison.title,
        tally=_tally(comparison),
        differs={key: values_of(comparison, key) for key in comparison.keys},
        same=comparison.same,
        notes=comparison.notes,
        layers=layers,
        filters={key: values_of(comparison, key) for key in comparison.keys}
        | {"verdict": list(dict.fromkeys(verdicts))},
        columns=columns_of(comparison),
        rows=[_row(comparison, row) for row in range(len(comparison.rows))],
        averaged=comparison.averaged,
        seeds=_seeds(comparison),
        unfinished=[
            {"status": run.status, "name": run.name, "id": run.run_id, "error": run.tags.get("bnexp.error", "")}
            for run in comparison.unfinished
        ],
        percentiles=PERCENTILES[:shown],
        most_points=max((len(run.steps) for run in curves.values()), default=0),
        signs={
            "healthy": SIGNS["good"],
            "lagging": SIGNS["slow"],
            "wrong": SIGNS["wrong"],
            "nothing to judge": SIGNS["none"],
        },
        source=source,
        css=(page / "report.css").read_text("utf-8"),
        script="\n".join((page / name).read_text("utf-8") for name in SCRIPTS),
        plotly=get_plotlyjs(),
        data=in_script(script_data(comparison, curves)),
    )


def foldable(text: str) -> Markup:
    """Returns text, escaped, that a browser may break after its underscores, as `update_ops_collected_too_early`."""
    return Markup("_<wbr>").join(text.split("_"))


def _tally(comparison: Comparison) -> list[dict[str, Any]]:
    tones = [tone(run.verdict) for row in comparison.rows for run in row]
    counts = {name: tones.count(name) for name in TALLY}
    found = [{"tone": name, "count": count, "words": TALLY[name][count > 1]} for name, count in counts.items() if count]
    if comparison.unfinished:
        found.append({"tone": "wrong", "count": len(comparison.unfinished), "words": "did not finish"})
    return found


def _seeds(comparison: Comparison) -> list[str]:
    """Returns the seeds that a reader may choose among; none where no row has several."""
    if not comparison.averaged:
        return []
    return list(dict.fromkeys(run.params.get("seed", "") for row in comparison.rows for run in row))


def _row(comparison: Comparison, row: int) -> dict[str, Any]:
    record = comparison.table.iloc[row].to_dict()
    return {
        "number": row,
        "cells": row_cells(comparison, row),
        "tone": tone(record["verdict"]),
        "sign": SIGNS[tone(record["verdict"])],
        "colour": colour(record["verdict"]),
        **{name: record[name] for name in ("sentence", "cure", "document")},
        "runs": [
            {
                "name": run.name,
                "seed": run.params.get("seed", ""),
                "accuracy": f"{run.metrics['test/accuracy']:.4f}" if "test/accuracy" in run.metrics else "-",
                "id": run.run_id,
            }
            for run in comparison.rows[row]
        ],
    }
