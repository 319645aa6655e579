"""A comparison as one self-contained HTML page with table, plots and filters, which needs no network."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bnexp.compare.colours import colour
from bnexp.compare.columns import columns_of, row_cells
from bnexp.compare.curves import PERCENTILES, RunCurves, fitting
from bnexp.compare.data import in_script, script_data, values_of
from bnexp.compare.table import Comparison
from bnexp.diagnosis.severity import SIGNS, Severity, severity
from bnexp.names import ERROR_TAG, HEADLINE

# in order: each may use those before it
SCRIPTS = ("values.js", "table.js", "plots.js", "accuracy.js", "curves.js", "trajectories.js", "report.js")

# by severity: the words after a count of 1, and after a larger count
TALLY: Mapping[Severity, tuple[str, str]] = {
    "good": ("run is healthy", "runs are healthy"),
    "slow": ("run lags: right, but too slow", "runs lag: right, but too slow"),
    "wrong": ("run is wrong", "runs are wrong"),
    "none": ("run has nothing to judge", "runs have nothing to judge"),
}


def html(comparison: Comparison, curves: Mapping[str, RunCurves], *, source: str) -> str:
    """Returns the HTML page of a comparison.

    Args:
        comparison: the comparison to show.
        curves: the trajectories by run id, as `read_curves` returns them.
        source: a sentence that says when and from which store the page was made.

    Example:
        >>> html(compare(runs), read_curves(store, runs), source="Made by hand.")[:15]
        '<!DOCTYPE html>'
    """
    # imported here, since it takes half a second
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
            {"status": run.status, "name": run.name, "id": run.run_id, "error": run.tags.get(ERROR_TAG, "")}
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
    """Returns a text as HTML that a browser may break after underscores.

    Args:
        text: any text; it is escaped.

    Example:
        >>> foldable("update_ops")
        Markup('update_<wbr>ops')
    """
    return Markup("_<wbr>").join(text.split("_"))


def _tally(comparison: Comparison) -> list[dict[str, Any]]:
    grades = [severity(run.verdict) for row in comparison.rows for run in row]
    counts = {name: grades.count(name) for name in TALLY}
    found = [{"tone": name, "count": count, "words": TALLY[name][count > 1]} for name, count in counts.items() if count]
    if comparison.unfinished:
        found.append({"tone": "wrong", "count": len(comparison.unfinished), "words": "did not finish"})
    return found


def _seeds(comparison: Comparison) -> list[str]:
    """Returns the seeds that the reader can choose from; none if no row has several."""
    if not comparison.averaged:
        return []
    return list(dict.fromkeys(run.params.get("seed", "") for row in comparison.rows for run in row))


def _row(comparison: Comparison, row: int) -> dict[str, Any]:
    record = comparison.table.iloc[row].to_dict()
    return {
        "number": row,
        "cells": row_cells(comparison, row),
        "tone": severity(record["verdict"]),
        "sign": SIGNS[severity(record["verdict"])],
        "colour": colour(record["verdict"]),
        **{name: record[name] for name in ("sentence", "cure", "document")},
        "runs": [
            {
                "name": run.name,
                "seed": run.params.get("seed", ""),
                "accuracy": f"{run.metrics[HEADLINE]:.4f}" if HEADLINE in run.metrics else "-",
                "id": run.run_id,
            }
            for run in comparison.rows[row]
        ],
    }
