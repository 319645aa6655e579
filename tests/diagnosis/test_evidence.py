"""The evidence: of what a run measured, the worst."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from bnexp.diagnosis.audit import Finding
from bnexp.diagnosis.evidence import gather_evidence
from bnexp.diagnosis.fingerprint import Fingerprint
from bnexp.evaluation.evaluate import Evaluation
from bnexp.evaluation.harm import Harm
from bnexp.statistics.layer_statistics import LayerStatistics
from bnexp.statistics.moments import Moments
from bnexp.training.trajectory import Trajectories

RIGHT = Fingerprint(keeps_statistics=True)
HARM = Harm(0.5, 0.75, 0.1, flips=3)


def evaluated(accuracy, moved=0.0):
    return Evaluation(np.zeros(1, np.int64), accuracy=accuracy, moved=moved, seconds=1.0)


def gathered(trajectories, findings=()):
    return gather_evidence(
        RIGHT,
        findings,
        decay=0.9,
        steps=3,
        replaced=False,
        trajectories=trajectories,
        before=evaluated(0.5, moved=0.25),
        batched=evaluated(0.75),
        harm=HARM,
    )


def recorded(statistics, losses=(1.0, 1.0, 1.0)):
    """A run of three steps; of each layer the last moving mean and variance, or None, beside a population 0 and 1."""
    still = np.zeros([3, 2], np.float32)
    layers = {}
    for layer, last in statistics.items():
        mean, variance = (None, None) if last is None else (np.float32([[9, 9], [9, 9], [value] * 2]) for value in last)
        layers[layer] = LayerStatistics(still, still, mean, variance)
    earlier = dict.fromkeys(layers, Moments(np.full(2, 77.0), np.full(2, 77.0)))
    at_the_end = dict.fromkeys(layers, Moments(np.zeros(2), np.ones(2)))
    losses = np.float32(losses)
    return Trajectories(np.array([2, 4, 6]), losses, losses, layers, {3: earlier, 6: at_the_end})


def test_what_was_seen_is_put_beside_what_was_measured():
    finding = Finding("unordered_read", "bn1", "Read", "a race")
    found = gathered(None, [finding])
    assert (found.fingerprint, list(found.findings)) == (RIGHT, [finding])
    assert (found.moved, found.harm, found.accuracy_batched) == (0.25, HARM, 0.75)
    assert (found.left, found.by_minimize) == ((), None)
    assert found.found("unordered_read") is finding
    assert found.found("two_sets") is None


def test_the_decay_that_acts_is_the_layers_own_if_it_takes_none():
    found = gathered(None)
    assert (found.acting_decay, found.start_left) == (0.9, pytest.approx(0.729))
    own = replace(found, fingerprint=replace(RIGHT, takes_decay=False, acting_decay=0.5))
    assert (own.acting_decay, own.start_left) == (0.5, 0.125)


def test_a_run_that_only_restored_measured_no_training():
    found = gathered(None)
    assert isnan(found.mean_error)
    assert isnan(found.variance_ratio)
    assert found.diverged == 0


@pytest.mark.parametrize(
    ("statistics", "error", "ratio"),
    [
        ({"bn1": (0.5, 1.25)}, 0.5, 1.25),
        ({"bn1": (-3.0, 1.25), "bn2": (0.5, 0.75)}, 3.0, 0.75),  # a factor of 4/3 is more than one of 5/4
        ({"bn1": (0.0, 0.5), "bn2": (0.5, 4.0)}, 0.5, 4.0),
        ({"bn1": (0.0, 0.0), "bn2": (0.0, 100.0)}, 0.0, 0.0),
        ({"bn1": None, "bn2": (0.25, 2.0)}, 0.25, 2.0),
    ],
)
def test_the_worst_layer_counts_at_the_end_of_training(statistics, error, ratio):
    found = gathered(recorded(statistics))
    assert (found.mean_error, found.variance_ratio) == (error, ratio)


def test_layers_without_statistics_have_no_distance():
    assert isnan(gathered(recorded({"bn1": None})).mean_error)


@pytest.mark.parametrize(
    ("losses", "step"), [((1, 2, 3), 0), ((1, np.nan, 3), 4), ((np.inf, np.nan, np.nan), 2), ((1, 2, -np.inf), 6)]
)
def test_a_run_diverged_at_its_first_loss_that_is_no_number(losses, step):
    assert gathered(recorded({"bn1": (0.0, 1.0)}, losses)).diverged == step
