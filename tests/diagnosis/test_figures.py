"""Each sentence is derived from figures in the diagnosis, and each figure can be computed again from what was fed."""

from functools import cache

import numpy as np
import pytest

from bnexp.config.paths import names_in
from bnexp.diagnosis.diagnose import diagnose
from bnexp.diagnosis.evidence import Evidence
from bnexp.diagnosis.fingerprint import fingerprint
from bnexp.diagnosis.specimen import CONSTANT, DECAY, EPSILON, Specimen
from bnexp.evaluation.harm import Harm
from bnexp.graph.layer import variant_factory

FORMS = ("{:.2g}", "{:.3g}", "{:.4g}", "{:g}", "{:.2f}", "{:.3f}", "{:.4f}", "{:.1f}")


@cache
def evidence(name, **otherwise):
    """A run of 100 steps that loses a tenth of its accuracy to the statistics, of which 9 examples of 100 tell."""
    factory = variant_factory(name, decay=0.9, epsilon=1e-3)
    return Evidence(
        fingerprint=fingerprint(factory),
        findings=(),
        decay=0.9,
        steps=100,
        replaced=False,
        mean_error=0.125,
        variance_ratio=0.75,
        moved=0.0,
        harm=Harm(0.8125, 0.9375, 0.03125, flips=17),
        accuracy_batched=0.9375,
        diverged=0,
    )


@pytest.mark.parametrize("name", names_in("variant"))
def test_every_figure_stands_in_its_sentence(name):
    diagnosis = diagnose(evidence(name))
    for figure, value in diagnosis.figures.items():
        assert any(form.format(value) in diagnosis.sentence for form in FORMS), (figure, value, diagnosis.sentence)


@pytest.mark.parametrize("name", [n for n in names_in("variant") if n not in ("identity", "group_norm", "layer_norm")])
def test_the_harm_is_told_with_its_figures(name):
    diagnosis = diagnose(evidence(name))
    # (.9375 - .8125) / .03125
    assert diagnosis.figures["standard_errors"] == 4.0
    assert "accuracy 0.8125 one by one, 0.9375 with the population's statistics, 4.0 standard errors more" in (
        diagnosis.sentence
    )
    assert "large batches change 17 predictions" in diagnosis.sentence


def normalised(batch, mean=None, variance=None):
    batch = np.asarray(batch, np.float64)
    axes = tuple(range(batch.ndim - 1))
    mean = batch.mean(axes) if mean is None else mean
    variance = batch.var(axes) if variance is None else variance
    return (batch - mean) / np.sqrt(variance + EPSILON)


def figures(name):
    return diagnose(evidence(name)).figures


def specimen(name):
    return Specimen(variant_factory(name, decay=0.9, epsilon=1e-3), positions=())


def test_an_examples_output_alone_and_among_others():
    seen = specimen("always_batch")
    alone, among = normalised(seen._singles[0]), normalised(seen._others)[:1]
    assert figures("always_batch")["batch_dependence"] == pytest.approx(np.abs(among - alone).max(), rel=1e-4)


def test_a_batch_of_equal_rows_under_the_initial_statistics():
    found = figures("frozen")
    assert found["constant_output"] == pytest.approx(CONSTANT / np.sqrt(1 + EPSILON), rel=1e-6)
    assert (found["initial_mean"], found["initial_variance"]) == (0.0, 1.0)


def test_what_a_single_example_takes_from_the_moving_variance():
    # a single value a channel has variance 0, so that only the old average is left
    assert figures("contrib_twin")["variance_kept"] == pytest.approx(DECAY, rel=1e-6)


def test_what_inference_moved():
    seen = specimen("contrib_twin")
    mean, variance = (series[-1] for series in seen.series)
    largest = 0.0
    for single in seen._singles:
        after = DECAY * mean + (1 - DECAY) * single[0], DECAY * variance
        largest = max(largest, *(np.abs(new - old).max() for new, old in zip(after, (mean, variance), strict=True)))
        mean, variance = after
    assert figures("contrib_twin")["moved"] == pytest.approx(largest, rel=1e-4)


def test_the_length_of_a_step():
    assert figures("double_update")["step"] == pytest.approx(1 - DECAY**2, rel=1e-5)
    assert figures("momentum_swapped")["step"] == pytest.approx(DECAY, rel=1e-5)


def test_the_first_moving_variance():
    first = specimen("variance_from_zero").training[0][:, 0].astype(np.float64).var()
    found = figures("variance_from_zero")
    assert found["first_variance"] == pytest.approx((1 - DECAY) * first, rel=1e-5)
    assert found["right_first_variance"] == pytest.approx(DECAY + (1 - DECAY) * first, rel=1e-5)
    assert found["start_left"] == pytest.approx(0.9**100, rel=1e-9)


def test_what_monitoring_moved():
    seen = specimen("test_set_leak")
    held_out = seen._held_out.astype(np.float64)
    mean, variance = (series[-1] for series in seen.series)
    pulls = held_out.mean(0) - mean, held_out.var(0) - variance
    largest = (1 - DECAY) * max(np.abs(pull).max() for pull in pulls)
    assert figures("test_set_leak")["moved_by_monitoring"] == pytest.approx(largest, rel=1e-4)
