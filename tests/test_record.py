"""What a run tells its tracker, with a tracker that only remembers."""

from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf
from small import compose

from bnexp import record
from bnexp.config import GROUPS
from bnexp.model import Steps
from bnexp.moments import Moments
from bnexp.record import finite, flatten, log_snapshot, params, public, run_name
from bnexp.train import Snapshot


class Remembers:
    """A tracker's `log`, in a dict by metric name."""

    def __init__(self):
        self.logged = {}

    def log(self, metrics, *, step):
        for name, value in metrics.items():
            self.logged.setdefault(name, []).append((step, value))


def logged(steps, chunk, losses=None, population=(1.0, 4.0)):
    """Logs a run of one layer whose moving mean is 2 and variance 6, snapshot by snapshot."""
    tracker = Remembers()
    moving = Moments(np.array([2.0]), np.array([6.0]))
    model = SimpleNamespace(moving_statistics=lambda: {"bn1": moving})
    losses = np.arange(1, steps + 1, dtype=np.float32) if losses is None else losses
    for begin in range(0, steps, chunk):
        end = min(begin + chunk, steps)
        here = losses[begin:end]
        measured = {"bn1": Moments(*(np.array([value]) for value in population))}
        percentiles = {"bn1": np.array([-1.0, 0.0, 2.0])}
        snapshot = Snapshot(
            end, Steps(here, here / 2, {}), measured, monitored=0.5, percentiles=percentiles, seconds=1.0
        )
        log_snapshot(tracker, model, snapshot, steps=steps)
    return tracker.logged


def test_every_step_of_a_short_run():
    found = logged(10, 4)
    assert found["train/loss"] == [(step, float(step)) for step in range(1, 11)]
    assert found["train/accuracy"] == [(step, step / 2) for step in range(1, 11)]
    # (2 - 1) / sqrt(4) and 6 / 4, at each snapshot
    assert found["moving/bn1/mean_error"] == [(4, 0.5), (8, 0.5), (10, 0.5)]
    assert found["moving/bn1/variance_ratio"] == [(4, 1.5), (8, 1.5), (10, 1.5)]
    assert [found[f"unit/bn1/p{p}"][-1] for p in (15, 50, 85)] == [(10, -1.0), (10, 0.0), (10, 2.0)]


@pytest.mark.parametrize("steps", [99, 100, 101, 1234])
def test_a_long_run_is_thinned(steps, monkeypatch):
    monkeypatch.setattr(record, "MOST_POINTS", 50)
    found = logged(steps, 100)["train/loss"]
    # the bound, and the last step beyond it
    assert len(found) <= 51
    assert len(found) >= 25
    assert found[-1] == (steps, float(steps))
    assert all(step == loss for step, loss in found)


def test_what_is_not_finite_is_left_out():
    losses = np.array([1.0, np.nan, np.inf, 2.0], np.float32)
    found = logged(4, 4, losses, population=(1.0, 0.0))
    assert found["train/loss"] == [(1, 1.0), (4, 2.0)]
    # a population without a spread has no unit to measure in
    assert "moving/bn1/mean_error" not in found
    assert finite({"a": np.float32(0.5), "b": float("-inf"), "c": float("nan")}) == {"a": 0.5}


def test_flatten():
    nested = {"a": 1, "b": {"c": None, "d": {"e": [1, 2]}}, "f": {}}
    assert flatten(nested) == {"a": 1, "b.c": None, "b.d.e": "[1, 2]"}


def test_params_are_names_and_values():
    choices = dict(zip(GROUPS, ("digits", "mlp", "ema", "none", "adam"), strict=True))
    found = params(compose("variant=ema", "decay=0.5"), choices | {"hydra/launcher": "basic"})
    assert (found["variant"], found["variant.decay"], found["decay"]) == ("ema", 0.5, 0.5)
    assert "hydra/launcher" not in found


def test_a_password_is_not_recorded():
    config = compose("tracking.uri='postgresql://me:secret@host/db'")
    assert public(config)["tracking"]["uri"] == "postgresql://me:***@host/db"
    assert "secret" not in OmegaConf.to_yaml(OmegaConf.create(public(config)))
    # and the config that connects still has it
    assert config.tracking.uri == "postgresql://me:secret@host/db"
    assert run_name(["decay=0.5", "tracking.uri=postgresql://me:secret@host/db", "seed=1"]) == "decay=0.5 seed=1"
