"""The averages of other decays: what the reference's recurrences make of the same batches, however they come cut."""

import numpy as np
import pytest

from bnexp.engine.model import Steps
from bnexp.statistics import reference
from bnexp.statistics.layer_statistics import LayerStatistics
from bnexp.training.averages import DECAYS, AveragesByDecay, Estimator


def recorded(rng, steps, channels=3):
    shape = [steps, channels]
    return Steps(
        losses=np.zeros(steps, np.float32),
        accuracies=np.zeros(steps, np.float32),
        layers={
            "bn1": LayerStatistics(
                batch_mean=rng.normal([5.0, -3.0, 0.1], 1.0, shape).astype(np.float32),
                batch_variance=rng.uniform(0.5, 4.0, shape).astype(np.float32),
            )
        },
    )


@pytest.mark.parametrize("cuts", [[], [1], [7, 8, 30]])
@pytest.mark.parametrize("decay", [0.5, 0.9, 0.9999])
@pytest.mark.parametrize("zero_debias", [False, True])
def test_an_estimator_is_the_recurrence_of_the_reference(cuts, decay, zero_debias):
    steps = recorded(np.random.default_rng(0), 40)
    batch = steps.layers["bn1"]
    averages = AveragesByDecay({"bn1": 4}, batch_size=4)
    for begin, end in zip([0, *cuts], [*cuts, 40], strict=True):
        part = {"bn1": batch.rows(np.arange(begin, end))}
        averages.add(Steps(steps.losses[begin:end], steps.accuracies[begin:end], part))

    recurrence = reference.zero_debias if zero_debias else reference.ema
    mean = recurrence(batch.batch_mean, 0.0, decay)[-1]
    for ddof, factor in ((0, 1.0), (1, 16 / 15)):
        found = averages.statistics(Estimator(decay, ddof, zero_debias))["bn1"]
        variance = recurrence(np.float64(batch.batch_variance) * factor, 1.0, decay)[-1]
        # both sides are float64: forty products and sums of numbers near 10 keep 13 digits
        np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(found.variance, variance, rtol=1e-12)


def test_debiased_and_plain_differ_by_what_is_left_of_the_start():
    averages = AveragesByDecay({"bn1": 4}, batch_size=4)
    averages.add(recorded(np.random.default_rng(1), 5))
    plain, debiased = (averages.statistics(Estimator(0.9, 0, debias))["bn1"] for debias in (False, True))
    np.testing.assert_allclose(plain.variance, debiased.variance * (1 - 0.9**5) + 0.9**5, rtol=1e-12)


def test_decays_span_those_that_people_use():
    assert DECAYS[0] == 0.5
    assert DECAYS[-1] == 0.9999
    assert list(DECAYS) == sorted(set(DECAYS))
