"""Naming what was seen: each closed form is recognised as itself, and next to nothing is taken for it."""

import numpy as np
import pytest

from bnexp import recognise, reference
from bnexp.recognise import Recurrence
from bnexp.reference import batch_mean, batch_variance, normalise

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
        found = recognise.recurrence(series(name, values, start), values, 0.9)
        # from 0 a debiased average is one from 0 whichever way it is said
        assert found.name == ("zero_debias" if name == "debias_from_ones" and start == 0 else name)


def test_another_decay_than_was_asked_for():
    found = recognise.recurrence(series("ema", MEANS, 0.0, decay=0.99), MEANS, 0.9)
    assert found.name == "ema_of_another_decay"
    assert found.decay == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("name", "decay"), [("ema", 0.99), ("ema", 0.997), ("zero_debias", 0.95), ("zero_debias", 0.999)]
)
def test_where_nobody_could_ask_any_decay_will_do(name, decay):
    found = recognise.recurrence(series(name, MEANS, 0.0, decay=decay), MEANS, None)
    assert (found.name, found.decay) == (name, pytest.approx(decay, abs=1e-6))


def test_where_nobody_could_ask_most_of_the_last_batch_is_the_other_convention():
    assert recognise.recurrence(series("ema", MEANS, 0.0, decay=0.01), MEANS, None).name == "swapped"


def test_what_never_moved_at_all():
    assert recognise.recurrence(np.ones([9, 3]), MEANS, 0.9) == Recurrence("never")
    barely = np.ones([9, 3])
    barely[5:, 1] += 1e-7
    assert recognise.recurrence(barely, MEANS, 0.9).name == "unknown"


def test_a_start_that_differs_between_channels_is_none():
    right = series("ema", MEANS, 0.0)
    right[:, 1] += 0.9 ** np.arange(9)
    assert recognise.recurrence(right, MEANS, 0.9).name == "unknown"


@pytest.mark.parametrize("step", range(1, 9))
def test_a_single_wrong_step_is_seen(step):
    wrong = series("ema", MEANS, 0.0)
    wrong[step, 1] += 1e-3
    assert recognise.recurrence(wrong, MEANS, 0.9).name == "unknown"


@pytest.mark.parametrize("ddof", [0, 1])
def test_variances_of_either_convention(ddof):
    values = np.array([batch_variance(batch, ddof) for batch in BATCHES])
    found = recognise.variance_recurrence(series("ema", values, 1.0), BATCHES, 0.9, 0.9, EPSILON)
    assert found == Recurrence("ema", 0.9, ddof)


def test_variances_whose_stddev_is_averaged():
    moving = np.concatenate([np.ones([1, 3]), reference.stddev_ema(VARIANCES, 0.9, EPSILON)])
    assert recognise.variance_recurrence(moving, BATCHES, 0.9, 0.9, EPSILON).name == "stddev_ema"


@pytest.mark.parametrize("parts", [2, 4])
def test_variances_of_ghosts(parts):
    within = [np.mean([v for _, _, v in reference.ghost_moments(batch, parts)], 0) for batch in BATCHES]
    found = recognise.variance_recurrence(series("ema", np.array(within), 1.0), BATCHES, 0.9, 0.9, EPSILON)
    assert found.name == "ghost_ema"


def test_digits_lost_to_a_large_mean_are_told_from_a_wrong_recurrence():
    moving = series("ema", VARIANCES, 1.0)
    moving[1:, -1] *= 1.01
    found = recognise.variance_recurrence(moving, BATCHES, 0.9, 0.9, EPSILON)
    assert (found.name, found.imprecise) == ("ema", pytest.approx(0.01))
    moving[1:, 0] *= 1.01
    assert recognise.variance_recurrence(moving, BATCHES, 0.9, 0.9, EPSILON).name == "unknown"


def test_acting_decay():
    assert recognise.acting_decay(series("double", MEANS, 0.0), MEANS) == pytest.approx(0.81)
    assert np.isnan(recognise.acting_decay(np.ones([9, 3]), MEANS))


@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 1e-3, 0.05])
def test_acting_epsilon(epsilon):
    outputs = [0.7 * normalise(b, batch_mean(b), batch_variance(b), epsilon) - 2 for b in BATCHES]
    assert recognise.acting_epsilon(BATCHES, outputs, 0.1) == pytest.approx(epsilon, abs=1e-6)


def test_no_epsilon_explains_what_is_not_normalised():
    assert recognise.acting_epsilon(BATCHES, BATCHES, 0.1) == 0.1  # slope 1 whatever the variance
    assert recognise.acting_epsilon(BATCHES, [np.zeros_like(b) for b in BATCHES], 0.1) == 0.1


# --- outputs -----------------------------------------------------------------------------------------------------------

MOVING = series("ema", MEANS, 0.0), series("ema", VARIANCES, 1.0)
GAMMA, BETA = np.array([0.5, -2.0, 1.0]), np.array([1.0, 0.0, -3.0])


def affine(parts):
    return [np.float32(GAMMA * part + BETA) for part in parts]


def own(batch):
    return normalise(batch, batch_mean(batch), batch_variance(batch), EPSILON)


def test_the_batch():
    outputs = affine(own(batch) for batch in BATCHES)
    assert recognise.training_uses(BATCHES, outputs, *MOVING, EPSILON) == "batch"


@pytest.mark.parametrize(("mean_after", "variance_after"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_moving_statistics_before_after_or_torn(mean_after, variance_after):
    means, variances = MOVING[0][mean_after:], MOVING[1][variance_after:]
    outputs = affine(normalise(b, m, v, EPSILON) for b, m, v in zip(BATCHES, means, variances, strict=False))
    assert recognise.training_uses(BATCHES, outputs, *MOVING, EPSILON) == "moving"


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_ghosts(parts):
    outputs = affine(recognise.with_ghosts(batch, parts, EPSILON).values for batch in BATCHES)
    assert recognise.training_uses(BATCHES, outputs, *MOVING, EPSILON) == "ghost"


@pytest.mark.parametrize(("rmax", "dmax"), [(3.0, 5.0), (1.1, 0.1)])
def test_renormalisation_by_its_bounds(rmax, dmax):
    outputs = []
    for batch, mean, variance in zip(BATCHES, *MOVING, strict=False):
        scale = np.sqrt(variance + EPSILON)
        r = np.clip(np.sqrt(batch_variance(batch) + EPSILON) / scale, 1 / rmax, rmax)
        d = np.clip((batch_mean(batch) - mean) / scale, -dmax, dmax)
        outputs.append(np.float32(own(batch) * r + d))
    assert recognise.training_uses(BATCHES, outputs, *MOVING, EPSILON) == "renorm"


def strange_outputs():
    yield "constant", [np.ones_like(batch) for batch in BATCHES]
    yield "zero", [np.zeros_like(batch) for batch in BATCHES]
    yield "the inputs", BATCHES
    stddev = [np.sqrt(batch_variance(batch)) for batch in BATCHES]
    yield "epsilon outside", [(b - batch_mean(b)) / (s + EPSILON) for b, s in zip(BATCHES, stddev, strict=True)]
    yield "another gamma each call", [own(batch) * (1 + 0.01 * call) for call, batch in enumerate(BATCHES)]
    yield "noise", [np.float32(RNG.normal(size=batch.shape)) for batch in BATCHES]


@pytest.mark.parametrize(
    ("kind", "outputs"), list(strange_outputs()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_none_of_them(kind, outputs):
    assert recognise.training_uses(BATCHES, outputs, *MOVING, EPSILON) == "unknown"


def test_without_statistics_there_is_nothing_to_compare_with():
    none = np.zeros([9, 0])
    assert recognise.training_uses(BATCHES, affine(own(b) for b in BATCHES), none, none, EPSILON) == "batch"
    assert recognise.training_uses(BATCHES, BATCHES, none, none, EPSILON) == "unknown"


SINGLES = [batch[:1] for batch in BATCHES]
MET = [(RNG.normal([-12.0, 0.5, 300.0]), RNG.uniform(0.05, 4.0, 3)) for _ in BATCHES]
LEFT = [(0.9 * mean + 0.1 * batch_mean(x), 0.9 * variance) for x, (mean, variance) in zip(SINGLES, MET, strict=True)]


@pytest.mark.parametrize("debias", [1.0, 0.57])
def test_inference_that_follows_the_statistics_it_meets(debias):
    outputs = affine(normalise(x, m / debias, v / debias, EPSILON) for x, (m, v) in zip(SINGLES, MET, strict=True))
    uses, fitted = recognise.inference_uses(SINGLES, outputs, MET, MET, EPSILON, 0.57, None)
    assert uses == ("moving" if debias == 1 else "moving_debiased")
    np.testing.assert_allclose([fitted.gamma, fitted.beta], [GAMMA, BETA], rtol=1e-3, atol=1e-3)


def test_of_two_explanations_the_one_with_the_gamma_of_training_is_taken():
    """x - (.9 mean + .1 x) is .9 (x - mean): reading after a leak, or before it with a smaller gamma."""
    outputs = affine(normalise(x, m, v, EPSILON) for x, (m, v) in zip(SINGLES, LEFT, strict=True))
    trained = recognise.Affine(GAMMA, BETA)
    uses, fitted = recognise.inference_uses(SINGLES, outputs, MET, LEFT, EPSILON, 0.57, trained)
    assert uses == "moving"
    assert fitted.agrees(trained)
    other = recognise.Affine(2 * GAMMA, BETA)
    assert not recognise.inference_uses(SINGLES, outputs, MET, LEFT, EPSILON, 0.57, other)[1].agrees(other)


def test_inference_that_does_not_follow_them():
    fixed = MET[0]
    outputs = affine(normalise(x, *fixed, EPSILON) for x in SINGLES)
    assert recognise.inference_uses(SINGLES, outputs, MET, MET, EPSILON, 0.57, None) == ("unknown", None)


# --- gradients ---------------------------------------------------------------------------------------------------------


def central_differences(function, batch):
    gradient = np.zeros(batch.shape)
    for index in np.ndindex(batch.shape):
        step = np.zeros(batch.shape)
        step[index] = 1e-4
        gradient[index] = (function(batch + step) - function(batch - step)) / 2e-4
    return gradient


def test_gradients_are_those_of_finite_differences():
    batch, weights = np.float64(BATCHES[0]), RNG.normal(size=BATCHES[0].shape)
    through = central_differences(lambda x: np.sum(weights * GAMMA * own(x)), batch)
    mean, variance = batch_mean(batch), batch_variance(batch)
    constants = central_differences(lambda x: np.sum(weights * GAMMA * normalise(x, mean, variance, EPSILON)), batch)
    seen = [recognise.gradient_uses(batch, weights, found, EPSILON, GAMMA) for found in (through, constants)]
    assert seen == ["batch", "constants"]
    assert recognise.gradient_uses(batch, weights, 0 * through, EPSILON, GAMMA) == "nothing"
    assert recognise.gradient_uses(batch, weights, through + constants, EPSILON, GAMMA) == "unknown"
