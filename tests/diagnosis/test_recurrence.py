"""Which recurrence moved a statistic: each closed form is recognised as itself, and next to nothing is taken for it."""

import numpy as np
import pytest

from bnexp.diagnosis.recurrence import Recurrence, acting_decay, recurrence, variance_recurrence
from bnexp.statistics import reference
from bnexp.statistics.reference import batch_mean, batch_variance

RNG = np.random.default_rng(7)
EPSILON = 0.1

# means, spreads and sizes that differ from call to call; the last channel hundreds of standard deviations from 0
BATCHES = [
    np.float32(RNG.normal(RNG.normal([-12.0, 0.5, 300.0]), RNG.uniform(0.5, 2.0, 3), [size, 3])) for size in (8, 12) * 4
]
MEANS, VARIANCES = (np.array([moment(batch) for batch in BATCHES]) for moment in (batch_mean, batch_variance))


def series(name, values, start, decay=0.9):
    """The statistic before the first call and after each."""
    first = np.full_like(values[:1], start)
    return np.concatenate([first, reference.RECURRENCES[name](values, start, decay)])


@pytest.mark.parametrize("name", reference.RECURRENCES)
def test_every_recurrence_is_recognised(name):
    for values, start in ((MEANS, 0.0), (VARIANCES, 1.0)):
        found = recurrence(series(name, values, start), values, 0.9)
        # from 0 a debiased average is one from 0 whichever way it is said
        assert found.name == ("zero_debias" if name == "debias_from_ones" and start == 0 else name)


def test_another_decay_than_was_asked_for():
    found = recurrence(series("ema", MEANS, 0.0, decay=0.99), MEANS, 0.9)
    assert found.name == "ema_of_another_decay"
    assert found.decay == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("name", "decay"), [("ema", 0.99), ("ema", 0.997), ("zero_debias", 0.95), ("zero_debias", 0.999)]
)
def test_where_nobody_could_ask_any_decay_will_do(name, decay):
    found = recurrence(series(name, MEANS, 0.0, decay=decay), MEANS, None)
    assert (found.name, found.decay) == (name, pytest.approx(decay, abs=1e-6))


def test_where_nobody_could_ask_most_of_the_last_batch_is_the_other_convention():
    assert recurrence(series("ema", MEANS, 0.0, decay=0.01), MEANS, None).name == "swapped"


def test_what_never_moved_at_all():
    assert recurrence(np.ones([9, 3]), MEANS, 0.9) == Recurrence("never")
    barely = np.ones([9, 3])
    barely[5:, 1] += 1e-7
    assert recurrence(barely, MEANS, 0.9).name == "unknown"


def test_a_start_that_differs_between_channels_is_none():
    right = series("ema", MEANS, 0.0)
    right[:, 1] += 0.9 ** np.arange(9)
    assert recurrence(right, MEANS, 0.9).name == "unknown"


@pytest.mark.parametrize("step", range(1, 9))
def test_a_single_wrong_step_is_seen(step):
    wrong = series("ema", MEANS, 0.0)
    wrong[step, 1] += 1e-3
    assert recurrence(wrong, MEANS, 0.9).name == "unknown"


@pytest.mark.parametrize("ddof", [0, 1])
def test_variances_of_either_convention(ddof):
    values = np.array([batch_variance(batch, ddof) for batch in BATCHES])
    found = variance_recurrence(series("ema", values, 1.0), BATCHES, 0.9, 0.9, EPSILON)
    assert found == Recurrence("ema", 0.9, ddof)


def test_variances_whose_stddev_is_averaged():
    moving = np.concatenate([np.ones([1, 3]), reference.stddev_ema(VARIANCES, 0.9, EPSILON)])
    assert variance_recurrence(moving, BATCHES, 0.9, 0.9, EPSILON).name == "stddev_ema"


@pytest.mark.parametrize("parts", [2, 4])
def test_variances_of_ghosts(parts):
    within = [np.mean([v for _, _, v in reference.ghost_moments(batch, parts)], 0) for batch in BATCHES]
    found = variance_recurrence(series("ema", np.array(within), 1.0), BATCHES, 0.9, 0.9, EPSILON)
    assert found.name == "ghost_ema"


def test_digits_lost_to_a_large_mean_are_told_from_a_wrong_recurrence():
    moving = series("ema", VARIANCES, 1.0)
    moving[1:, -1] *= 1.01
    found = variance_recurrence(moving, BATCHES, 0.9, 0.9, EPSILON)
    assert (found.name, found.imprecise) == ("ema", pytest.approx(0.01))
    moving[1:, 0] *= 1.01
    assert variance_recurrence(moving, BATCHES, 0.9, 0.9, EPSILON).name == "unknown"


def test_acting_decay():
    assert acting_decay(series("double", MEANS, 0.0), MEANS) == pytest.approx(0.81)
    assert np.isnan(acting_decay(np.ones([9, 3]), MEANS))
