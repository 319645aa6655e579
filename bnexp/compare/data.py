"""What the report's script shows, as JSON: rows, runs and their curves."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from bnexp.compare.curves import LayerCurves, RunCurves
from bnexp.compare.keys import rank
from bnexp.compare.store import StoredRun
from bnexp.compare.table import Comparison
from bnexp.compare.verdict import SIGNS, colour, tone


class Shared:
    """Values that many runs share, kept once: a sweep over final passes has each trajectory several times."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Returns the place of a text among `texts`."""
        return self._places.setdefault(text, len(self._places))

    @property
    def texts(self) -> list[str]:
        """Returns every text once, by place."""
        return list(self._places)


def script_data(comparison: Comparison, curves: Mapping[str, RunCurves]) -> dict[str, Any]:
    """Returns what the page's script shows.

    Args:
        comparison: whose rows are shown.
        curves: trajectories by run id.

    Returns:
        `keys`; `colour_by`, the key that colours tell apart at first; `rows`, which point to `runs` by number; `runs`,
        which point to `arrays`; and `arrays`, little-endian in base64, steps int32 and statistics float32.
    """
    arrays = Shared()
    runs: list[dict[str, Any]] = []
    rows = []
    for number, members in enumerate(comparison.rows):
        record = comparison.table.iloc[number].to_dict()
        grade = tone(record["verdict"])
        rows.append(
            {
                "label": comparison.label(number),
                "keys": {key: record[key] for key in comparison.keys},
                "accuracy": _finite(record["accuracy"]),
                "spread": _finite(record.get("accuracy +-")),
                "batched": _finite(record["batched"]),
                "flips": _finite(record["flips"]),
                "verdict": record["verdict"],
                "tone": grade,
                "sign": SIGNS[grade],
                "colour": colour(record["verdict"]),
                "layers": _distances(members),
                "runs": list(range(len(runs), len(runs) + len(members))),
            }
        )
        runs += [_run(run, curves[run.run_id], arrays) for run in members]
    several = len(set(comparison.table["verdict"])) > 1 or not comparison.keys
    return {
        "keys": comparison.keys,
        "colour_by": "verdict" if several else max(comparison.keys, key=lambda key: len(values_of(comparison, key))),
        "rows": rows,
        "runs": runs,
        "arrays": arrays.texts,
    }


def values_of(comparison: Comparison, key: str) -> list[str]:
    """Returns the values of a column, sorted."""
    return sorted(set(comparison.table[key]), key=rank)


def in_script(value: Any) -> str:
    """Returns JSON that cannot end the script element it stands in, whatever a run is called."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _run(run: StoredRun, curves: RunCurves, arrays: Shared) -> dict[str, Any]:
    return {
        "seed": run.params.get("seed", ""),
        "problem": curves.problem,
        "steps": arrays.place(_base64(curves.steps, "<i4")),
        "snapshots": arrays.place(_base64(curves.snapshot_steps, "<i4")),
        "layers": {name: _layer(layer, arrays) for name, layer in curves.layers.items()},
    }


def _layer(layer: LayerCurves, arrays: Shared) -> dict[str, Any]:
    # a layer of two channels has one at several percentiles
    distinct = list(dict.fromkeys(layer.channels))
    places = [layer.channels.index(channel) for channel in distinct]
    statistics = ("moving_mean", "moving_variance", "population_mean", "population_variance")
    return {
        "channels": layer.channels,
        "distinct": distinct,
        **{name: arrays.place(_base64(getattr(layer, name)[places], "<f4")) for name in statistics},
    }


def _base64(array: np.ndarray, dtype: str) -> str:
    # exact, and shorter than digits
    return b64encode(array.astype(dtype).tobytes()).decode()


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
