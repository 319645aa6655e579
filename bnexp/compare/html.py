"""A comparison as one self-contained HTML page: table, accuracies, trajectories, filters; no network, ever."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from importlib.resources import files
from math import isfinite
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bnexp.compare.columns import columns_of, row_cells
from bnexp.compare.curves import PERCENTILES, LayerCurves, RunCurves, fitting
from bnexp.compare.keys import rank
from bnexp.compare.store import StoredRun
from bnexp.compare.table import Comparison
from bnexp.compare.verdict import SIGNS, Tone, colour, tone

# what a tally says of each tone; one and several
TALLY: Mapping[Tone, tuple[str, str]] = {
    "good": ("run is healthy", "runs are healthy"),
    "slow": ("run lags: right, but too slow", "runs lag: right, but too slow"),
    "wrong": ("run is wrong", "runs are wrong"),
    "none": ("run has nothing to judge", "runs have nothing to judge"),
}

PERCENTILE_NAMES = {50: "the median one, by population mean", 10: "10th percentile", 90: "90th percentile",
                    25: "25th percentile", 75: "75th percentile"}  # fmt: skip


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
    layers = list(dict.fromkeys(layer for run in curves.values() for layer in run.layers))
    shown = max((len(layer.channels) for run in curves.values() for layer in run.layers.values()), default=0)
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
    return environment.get_template("report.html").render(
        title=comparison.title,
        tally=_tally(comparison),
        differs={key: _values(comparison, key) for key in comparison.keys},
        same=comparison.same,
        notes=comparison.notes,
        layers=layers,
        filters={key: _values(comparison, key) for key in comparison.keys} | {"verdict": list(dict.fromkeys(verdicts))},
        columns=columns_of(comparison),
        rows=[_row(comparison, row) for row in range(len(comparison.rows))],
        averaged=comparison.averaged,
        unfinished=[
            {"status": run.status, "name": run.name, "id": run.run_id, "error": run.tags.get("bnexp.error", "")}
            for run in comparison.unfinished
        ],
        percentiles=[PERCENTILE_NAMES.get(p, f"{p}th percentile") for p in PERCENTILES[:shown]],
        signs={
            "healthy": SIGNS["good"],
            "lagging": SIGNS["slow"],
            "wrong": SIGNS["wrong"],
            "nothing to judge": SIGNS["none"],
        },
        source=source,
        css=(page / "report.css").read_text(),
        script=(page / "report.js").read_text(),
        plotly=get_plotlyjs(),
        data=_in_script(_data(comparison, curves)),
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


def _values(comparison: Comparison, key: str) -> list[str]:
    return sorted(set(comparison.table[key]), key=rank)


def _row(comparison: Comparison, row: int) -> dict[str, Any]:
    record = comparison.table.iloc[row].to_dict()
    return {
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


def _data(comparison: Comparison, curves: Mapping[str, RunCurves]) -> dict[str, Any]:
    """Returns what the page's script shows; steps are kept once, since most runs share them."""
    steps: dict[bytes, int] = {}
    runs: list[dict[str, Any]] = []
    rows = []
    for number, members in enumerate(comparison.rows):
        record = comparison.table.iloc[number].to_dict()
        rows.append(
            {
                "label": comparison.label(number),
                "keys": {key: record[key] for key in comparison.keys},
                "accuracy": _finite(record["accuracy"]),
                "spread": _finite(record.get("accuracy +-")),
                "batched": _finite(record["batched"]),
                "flips": _finite(record["flips"]),
                "verdict": record["verdict"],
                "tone": tone(record["verdict"]),
                "sign": SIGNS[tone(record["verdict"])],
                "colour": colour(record["verdict"]),
                "layers": _distances(members),
                "runs": list(range(len(runs), len(runs) + len(members))),
            }
        )
        runs += [_run(run, curves[run.run_id], steps) for run in members]
    several = len(set(comparison.table["verdict"])) > 1 or not comparison.keys
    return {
        "keys": comparison.keys,
        "colour_by": "verdict" if several else max(comparison.keys, key=lambda key: len(_values(comparison, key))),
        "rows": rows,
        "runs": runs,
        "steps": [np.frombuffer(content, np.int32).tolist() for content in steps],
    }


def _run(run: StoredRun, curves: RunCurves, steps: dict[bytes, int]) -> dict[str, Any]:
    return {
        "seed": run.params.get("seed", ""),
        "problem": curves.problem,
        "steps": steps.setdefault(curves.steps.tobytes(), len(steps)),
        "snapshots": steps.setdefault(curves.snapshot_steps.tobytes(), len(steps)),
        "layers": {name: _layer(layer) for name, layer in curves.layers.items()},
    }


def _layer(layer: LayerCurves) -> dict[str, Any]:
    # a layer of two channels has one at several percentiles
    distinct = list(dict.fromkeys(layer.channels))
    places = [layer.channels.index(channel) for channel in distinct]
    statistics = ("moving_mean", "moving_variance", "population_mean", "population_variance")
    return {
        "channels": layer.channels,
        "distinct": distinct,
        # little-endian float32, exact and shorter than digits
        **{name: b64encode(getattr(layer, name)[places].astype("<f4").tobytes()).decode() for name in statistics},
    }


def _distances(runs: Sequence[StoredRun]) -> dict[str, list[float | None]]:
    """Returns by layer how far the moving statistics were off at the end of training: mean error, variance ratio."""
    layers = dict.fromkeys(
        name.removeprefix("moving/").rpartition("/")[0]
        for run in runs
        for name in run.metrics
        if name.startswith("moving/")
    )
    names = ("mean_error", "variance_ratio")
    return {
        layer: [
            _finite(float(np.mean([run.metrics.get(f"moving/{layer}/{name}", np.nan) for run in runs])))
            for name in names
        ]
        for layer in layers
    }


def _finite(value: float | None) -> float | None:
    """JSON knows no NaN."""
    return value if value is not None and isfinite(value) else None


def _in_script(value: Any) -> str:
    """Returns JSON that cannot end the script element it stands in, whatever a run is called."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
