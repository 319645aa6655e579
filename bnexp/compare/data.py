"""The data of the HTML report's script, as JSON: rows, runs and their curves."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from bnexp.compare.colours import colour
from bnexp.compare.curves import LayerCurves, RunCurves
from bnexp.compare.keys import rank
from bnexp.compare.table import Comparison
from bnexp.diagnosis.severity import SIGNS, severity
from bnexp.names import MEAN_ERROR, VARIANCE_RATIO, layer_of_moving_metric, moving_metric
from bnexp.tracking.reader import StoredRun


class Shared:
    """Keeps each of many texts once: the jobs of a sweep over final passes, for example, have the same trajectories.

    Example:
        >>> shared = Shared()
        >>> [shared.place(text) for text in ("a", "b", "a")], shared.texts
        ([0, 1, 0], ['a', 'b'])
    """

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Returns the index of a text in `texts`, to which it is added if it is new."""
        return self._places.setdefault(text, len(self._places))

    @property
    def texts(self) -> list[str]:
        """Returns the distinct texts, in the order in which they came."""
        return list(self._places)


def script_data(comparison: Comparison, curves: Mapping[str, RunCurves]) -> dict[str, Any]:
    """Returns the data that the page's script shows.

    Args:
        comparison: the comparison whose rows are shown.
        curves: the trajectories by run id, as `read_curves` and `fitting` return them.

    Returns:
        `keys`, the names of the keys; `colour_by`, the key that has different colours at first; `rows`, which refer to
        `runs` by index; `runs`, which refer to `arrays` by index; and `arrays`, in base64: steps are little-endian
        int32, statistics little-endian float32.

    Example:
        >>> list(script_data(compare(runs), read_curves(store, runs)))
        ['keys', 'colour_by', 'rows', 'runs', 'arrays']
    """
    arrays = Shared()
    runs: list[dict[str, Any]] = []
    rows = []
    for number, members in enumerate(comparison.rows):
        record = comparison.table.iloc[number].to_dict()
        grade = severity(record["verdict"])
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
    """Returns the distinct values of a key in a comparison's table, sorted by `rank`.

    Args:
        comparison: the comparison whose table is read.
        key: the name of a column of texts.

    Example:
        >>> values_of(compare(runs, by=["decay"]), "decay")
        ['0.9']
    """
    return sorted(set(comparison.table[key]), key=rank)


def in_script(value: Any) -> str:
    """Returns a value as JSON that is safe in a script element: `<`, `>` and `&` in texts are escaped.

    Args:
        value: nested dicts, lists, texts, finite numbers and None.

    Example:
        >>> in_script({"steps": [1, 2]})
        '{"steps":[1,2]}'
    """
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
    # in a layer of few channels one channel may be at several percentiles
    distinct = list(dict.fromkeys(layer.channels))
    places = [layer.channels.index(channel) for channel in distinct]
    statistics = ("moving_mean", "moving_variance", "population_mean", "population_variance")
    return {
        "channels": layer.channels,
        "distinct": distinct,
        **{name: arrays.place(_base64(getattr(layer, name)[places], "<f4")) for name in statistics},
    }


def _base64(array: np.ndarray, dtype: str) -> str:
    # exact, and shorter than decimal numbers
    return b64encode(array.astype(dtype).tobytes()).decode()


def _distances(runs: Sequence[StoredRun]) -> dict[str, list[float | None]]:
    """Returns by layer the mean error and the variance ratio at the end of training, each averaged over the runs."""
    moving = (layer_of_moving_metric(name) for run in runs for name in run.metrics)
    return {
        layer: [
            _finite(float(np.mean([run.metrics.get(moving_metric(layer, kind), np.nan) for run in runs])))
            for kind in (MEAN_ERROR, VARIANCE_RATIO)
        ]
        for layer in dict.fromkeys(layer for layer in moving if layer is not None)
    }


def _finite(value: float | None) -> float | None:
    """Returns None for NaN and infinity, which JSON does not have."""
    return value if value is not None and isfinite(value) else None
