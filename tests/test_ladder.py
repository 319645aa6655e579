import numpy as np
import pandas as pd
import pytest

from bnexp import reference
from bnexp.ladder import DECAYS, Ladder, Rung, best_decay
from bnexp.model import Steps


def recorded(rng, steps, channels=3):
    shape = [steps, channels]
    return Steps(
        losses=np.zeros(steps, np.float32),
        accuracies=np.zeros(steps, np.float32),
        statistics={
            "bn1/batch_mean": rng.normal([5.0, -3.0, 0.1], 1.0, shape).astype(np.float32),
            "bn1/batch_variance": rng.uniform(0.5, 4.0, shape).astype(np.float32),
        },
    )


@pytest.mark.parametrize("cuts", [[], [1], [7, 8, 30]])
@pytest.mark.parametrize("decay", [0.5, 0.9, 0.9999])
@pytest.mark.parametrize("zero_debias", [False, True])
def test_a_rung_is_the_recurrence_of_the_reference(cuts, decay, zero_debias):
    steps = recorded(np.random.default_rng(0), 40)
    ladder = Ladder({"bn1": 4}, batch_size=4)
    for begin, end in zip([0, *cuts], [*cuts, 40], strict=True):
        part = {name: array[begin:end] for name, array in steps.statistics.items()}
        ladder.add(Steps(steps.losses[begin:end], steps.accuracies[begin:end], part))

    recurrence = reference.zero_debias if zero_debias else reference.ema
    mean = recurrence(steps.statistics["bn1/batch_mean"], 0.0, decay)[-1]
    for ddof, factor in ((0, 1.0), (1, 16 / 15)):
        found = ladder.statistics(Rung(decay, ddof, zero_debias))["bn1"]
        variance = recurrence(np.float64(steps.statistics["bn1/batch_variance"]) * factor, 1.0, decay)[-1]
        # both sides are float64: forty products and sums of numbers near 10 keep 13 digits
        np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(found.variance, variance, rtol=1e-12)


def test_debiased_and_plain_differ_by_what_is_left_of_the_start():
    ladder = Ladder({"bn1": 4}, batch_size=4)
    ladder.add(recorded(np.random.default_rng(1), 5))
    plain, debiased = (ladder.statistics(Rung(0.9, 0, debias))["bn1"] for debias in (False, True))
    np.testing.assert_allclose(plain.variance, debiased.variance * (1 - 0.9**5) + 0.9**5, rtol=1e-12)


def test_best_decay_is_the_slowest_of_the_best_plain_biased_averages():
    rows = [(0.5, 0, False, 0.9), (0.9, 0, False, 0.95), (0.99, 0, False, 0.95), (0.999, 0, False, 0.2)]
    rows += [(0.999, 0, True, 0.99), (0.5, 1, False, 0.99)]
    assert best_decay(pd.DataFrame(rows, columns=["decay", "ddof", "zero_debias", "accuracy"])) == (0.99, 0.95)


def test_decays_span_those_that_people_use():
    assert DECAYS[0] == 0.5
    assert DECAYS[-1] == 0.9999
    assert list(DECAYS) == sorted(set(DECAYS))
