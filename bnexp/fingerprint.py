"""What a layer does, seen from outside: cheap probes of one layer alone, its traits unread.

The probe drives the layer as its users would (its own train op, its own flag) with batches whose means and spreads
differ from call to call, so that no two recurrences and no two ways to normalise agree on them, and writes down what
moved, how, and what the outputs were normalised with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bnexp import reference
from bnexp.probe import LAYER, lone_layer, run_calls
from bnexp.reference import batch_mean, batch_variance, normalise

# far from any decay's swap, square or complement: .9, .1, .81 and .19 are all different
DECAY = 0.9

# large, so that an epsilon in the wrong place shows
EPSILON = 0.1

CHANNELS, TRAINING_CALLS, BATCH, SINGLES = 3, 8, 8, 8

# float32 keeps seven digits; a few hundred operations on them keep five
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Fingerprint:
    """What a layer did.

    Attributes:
        keeps_statistics: whether it has moving statistics at all.
        mean_recurrence: how the moving mean that inference reads moved in training: a key of `reference.RECURRENCES`,
            `"ema_of_another_decay"` or `"unknown"`.
        variance_recurrence: likewise of the variance; also `"stddev_ema"`, `"ghost_ema"`.
        variance_ddof: 0 or 1, whichever the variance recurrence fits.
        first_variance: moving variance after the first training call, of the first channel, and what an average from 1
            would have made it.
        acting_decay: the decay that fits the moving mean's steps best; NaN where it never moved.
        initial: moving mean and variance before training, each the first channel's.
        training_uses: what training normalised with: `"batch"`, `"moving"`, `"ghost"`, `"renorm"` or `"unknown"`.
        inference_uses: what inference normalised with: `"moving"`, `"batch"` or `"unknown"`.
        moved_by_inference: largest change of a moving statistic by inference calls.
        moved_by_monitoring: largest change by watching held-out data the way the layer's users do.
        batch_dependence: largest change of an inference output when the same row comes with other rows.
        constant_output: largest absolute training output for a batch of equal rows: 0 where the batch is used.
        averaged_elsewhere: names of variables that inference does not read and that average the batch in training.
        copied_elsewhere: names of variables that inference does not read and that hold the last batch's moments.
    """

    keeps_statistics: bool
    mean_recurrence: str = "none"
    variance_recurrence: str = "none"
    variance_ddof: int = 0
    first_variance: tuple[float, float] = (float("nan"), float("nan"))
    acting_decay: float = float("nan")
    initial: tuple[float, float] = (0.0, 1.0)
    training_uses: str = "unknown"
    inference_uses: str = "unknown"
    moved_by_inference: float = 0.0
    moved_by_monitoring: float = 0.0
    batch_dependence: float = 0.0
    constant_output: float = 0.0
    averaged_elsewhere: tuple[str, ...] = ()
    copied_elsewhere: tuple[str, ...] = ()


def fingerprint(factory: Callable[..., Any], *, rank: int = 2) -> Fingerprint:
    """Probes the layer that `factory` makes.

    Args:
        factory: takes `name`, `decay` and `epsilon`, or those of them that it knows.
        rank: 2 probes dense inputs [8, 3], 4 probes images [8, 2, 2, 3].
    """
    rng = np.random.default_rng(2015)
    positions = (2, 2) if rank == 4 else ()

    def draw(calls: int, batch: int) -> np.ndarray:
        offsets = rng.normal([-12.0, 0.5, 6.0], 1.0, [calls, CHANNELS])
        spreads = rng.uniform(0.5, 2.0, [calls, CHANNELS])
        shape = (calls, batch, *positions, CHANNELS)
        per_call = (calls, *[1] * (len(shape) - 2), CHANNELS)
        return np.float32(rng.normal(size=shape) * spreads.reshape(per_call) + offsets.reshape(per_call))

    training, held_out, singles, crowd = draw(TRAINING_CALLS, BATCH), draw(1, BATCH), draw(SINGLES, 1), draw(1, BATCH)
    engine = lone_layer(factory, training.shape[2:], engine="session", decay=DECAY, epsilon=EPSILON)
    graph = engine.graph
    if not hasattr(graph.layers[LAYER], "moving_mean"):
        return Fingerprint(keeps_statistics=False)
    names = [engine.name_of(getattr(graph.layers[LAYER], s)) for s in ("moving_mean", "moving_variance")]

    states, outputs = [engine.state()], []
    for batch in training:
        outputs.append(run_calls(engine, graph.train, batch[None])["outputs"][0])
        states.append(engine.state())
    trained = states[-1]
    run_calls(engine, graph.monitor, held_out)
    moved_by_monitoring = _moved(trained, engine.state(), names)

    engine.assign(trained)
    inferred, seen = [], [trained]
    for single in singles:
        inferred.append(run_calls(engine, graph.inference, single[None])["outputs"][0])
        seen.append(engine.state())
    engine.assign(trained)
    crowd[0, 0] = singles[0, 0]
    in_crowd = run_calls(engine, graph.inference, crowd)["outputs"][0][0]
    engine.assign(trained)
    constant = run_calls(engine, graph.train, np.full_like(training[:1], 5.0))["outputs"]

    series = [np.array([state[name] for state in states], np.float64) for name in names]
    elsewhere = _elsewhere(states, names, training)
    ddof, variance_recurrence = _variance_recurrence(series[1], training)
    return Fingerprint(
        keeps_statistics=True,
        mean_recurrence=_recurrence(series[0], np.array([batch_mean(b) for b in training])),
        variance_recurrence=variance_recurrence,
        variance_ddof=ddof,
        first_variance=(float(series[1][1][0]), float(DECAY + (1 - DECAY) * batch_variance(training[0])[0])),
        acting_decay=_acting_decay(series[0], np.array([batch_mean(b) for b in training])),
        initial=(float(series[0][0][0]), float(series[1][0][0])),
        training_uses=_training_uses(training, np.array(outputs), series),
        inference_uses=_inference_uses(singles, inferred, crowd[0], in_crowd, seen, names),
        moved_by_inference=max(_moved(a, b, names) for a, b in pairwise(seen)),
        moved_by_monitoring=moved_by_monitoring,
        batch_dependence=float(np.abs(in_crowd - inferred[0][0]).max()),
        constant_output=float(np.abs(constant).max()),
        averaged_elsewhere=elsewhere["averaged"],
        copied_elsewhere=elsewhere["copied"],
    )


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.all(np.abs(found - expected) <= TOLERANCE * (1 + np.abs(expected))))


def _moved(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], names: list[str]) -> float:
    return max(float(np.abs(after[name] - before[name]).max()) for name in names)


def _acting_decay(series: np.ndarray, values: np.ndarray) -> float:
    """Fits `moving += (1 - decay) * (value - moving)` to a series [T + 1, channels]."""
    steps, pulls = np.diff(series, axis=0), values - series[:-1]
    if not np.any(steps):
        return float("nan")
    return float(1 - np.sum(steps * pulls) / np.sum(pulls**2))


def _recurrence(series: np.ndarray, values: np.ndarray) -> str:
    """Names the recurrence that takes `values` [T, channels] to `series` [T + 1, channels], its start included."""
    start = float(series[0][0])
    for name, recurrence in reference.RECURRENCES.items():
        if _close(series[1:], recurrence(values, start, DECAY)):
            return name
    acting = _acting_decay(series, values)
    if np.isfinite(acting) and 0 <= acting < 1 and _close(series[1:], reference.ema(values, start, acting)):
        return "ema_of_another_decay"
    return "unknown"


def _variance_recurrence(series: np.ndarray, training: np.ndarray) -> tuple[int, str]:
    for ddof in (0, 1):
        values = np.array([batch_variance(batch, ddof) for batch in training])
        name = _recurrence(series, values)
        if name != "unknown":
            return ddof, name
    biased = np.array([batch_variance(batch) for batch in training])
    if _close(series[1:], reference.stddev_ema(biased, DECAY, EPSILON)):
        return 0, "stddev_ema"
    for parts in (2, 4, 8):
        ghosts = [[v for _, _, v in reference.ghost_moments(batch, parts)] for batch in training]
        if _close(series[1:], reference.ema(np.array([np.mean(g, 0) for g in ghosts]), 1.0, DECAY)):
            return 0, "ghost_ema"
    return 0, "unknown"


def _same_up_to_affine(found: np.ndarray, normalised: np.ndarray) -> bool:
    """Tells whether `found` is gamma * `normalised` + beta, one gamma (not 0) and one beta a channel over all calls."""
    found, normalised = (x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (found, normalised))
    for channel in range(found.shape[1]):
        basis = np.stack([normalised[:, channel], np.ones(len(normalised))], axis=1)
        solution, *_ = np.linalg.lstsq(basis, found[:, channel], rcond=None)
        if abs(solution[0]) < TOLERANCE or not _close(found[:, channel], basis @ solution):
            return False
    return True


def _training_uses(training: np.ndarray, outputs: np.ndarray, series: list[np.ndarray]) -> str:
    means, variances = (np.array([f(b) for b in training]) for f in (batch_mean, batch_variance))

    def by(means: np.ndarray, variances: np.ndarray) -> np.ndarray:
        return np.array([normalise(b, m, v, EPSILON) for b, m, v in zip(training, means, variances, strict=True)])

    if _same_up_to_affine(outputs, by(means, variances)):
        return "batch"
    if any(_same_up_to_affine(outputs, by(series[0][s], series[1][s])) for s in (slice(0, -1), slice(1, None))):
        return "moving"
    for parts in (2, 4, 8):
        ghosts = np.empty(training.shape)
        for ghost, batch in zip(ghosts, training, strict=True):
            for rows, mean, variance in reference.ghost_moments(batch, parts):
                ghost[rows] = normalise(batch[rows], mean, variance, EPSILON)
        if _same_up_to_affine(outputs, ghosts):
            return "ghost"
    return "renorm" if _is_renorm(training, outputs, series) else "unknown"


def _is_renorm(training: np.ndarray, outputs: np.ndarray, series: list[np.ndarray]) -> bool:
    """Tells whether outputs are the batch's times r plus d, each the true correction or a common bound."""
    r, d, true_r, true_d = [], [], [], []
    for batch, output, mean, variance in zip(training, outputs, series[0], series[1], strict=False):
        stddev, moving_stddev = np.sqrt(batch_variance(batch) + EPSILON), np.sqrt(variance + EPSILON)
        normalised = normalise(batch, batch_mean(batch), stddev**2 - EPSILON, EPSILON)
        axes = reference.batch_axes(batch)
        d.append(output.mean(axes))
        r.append((normalised * (output - output.mean(axes))).sum(axes) / (normalised**2).sum(axes))
        if not _close(output, normalised * r[-1] + d[-1]):
            return False
        true_r.append(stddev / moving_stddev)
        true_d.append((batch_mean(batch) - mean) / moving_stddev)
    found_r, found_d, exact_r, exact_d = (np.array(x).ravel() for x in (r, d, true_r, true_d))
    clipped_r = np.isclose(found_r, np.clip(exact_r, found_r.min(), found_r.max()), atol=TOLERANCE)
    clipped_d = np.isclose(found_d, np.clip(exact_d, found_d.min(), found_d.max()), atol=TOLERANCE)
    return bool(clipped_r.all() and clipped_d.all())


def _inference_uses(
    singles: np.ndarray,
    inferred: list[np.ndarray],
    crowd: np.ndarray,
    in_crowd: np.ndarray,
    seen: list[Mapping[str, np.ndarray]],
    names: list[str],
) -> str:
    found = np.array(inferred)
    for states in (seen[:-1], seen[1:]):
        statistics = [[np.float64(state[name]) for name in names] for state in states]
        moving = [
            normalise(x, mean, variance, EPSILON) for x, (mean, variance) in zip(singles, statistics, strict=True)
        ]
        if _same_up_to_affine(found, np.array(moving)):
            return "moving"
    alone = np.array([normalise(x, batch_mean(x), batch_variance(x), EPSILON) for x in singles])
    together = normalise(crowd, batch_mean(crowd), batch_variance(crowd), EPSILON)[0]
    both = np.concatenate([alone.ravel(), together.ravel()]).reshape(-1, CHANNELS)
    if _same_up_to_affine(np.concatenate([found.ravel(), in_crowd.ravel()]).reshape(-1, CHANNELS), both):
        return "batch"
    return "unknown"


def _elsewhere(
    states: list[dict[str, np.ndarray]], read: list[str], training: np.ndarray
) -> dict[str, tuple[str, ...]]:
    """Finds the variables that inference does not read and that training fills with averages or copies of moments."""
    values = [np.array([batch_mean(b) for b in training]), np.array([batch_variance(b) for b in training])]
    values.append(np.array([batch_variance(b, 1) for b in training]))
    found: dict[str, list[str]] = {"averaged": [], "copied": []}
    for name in states[0]:
        series = np.array([np.float64(state[name]) for state in states])
        if name in read or series.shape[1:] != values[0].shape[1:] or not np.any(np.diff(series, axis=0)):
            continue
        kinds = {_recurrence(series, value) for value in values} - {"unknown"}
        if kinds:
            found["copied" if kinds == {"copy"} else "averaged"].append(name)
    return {kind: tuple(names) for kind, names in found.items()}
