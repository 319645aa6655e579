"""The rules of the diagnosis, on evidence made by hand: which word, in which words, and which comes first."""

from dataclasses import fields, replace
from math import nan

import pytest

from bnexp.diagnosis.audit import Finding
from bnexp.diagnosis.diagnose import VERDICTS, diagnose
from bnexp.diagnosis.evidence import Evidence
from bnexp.diagnosis.fingerprint import Fingerprint
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.diagnosis.verdict.averages import LAGGING_WEIGHT, SERVED_WEIGHT, serving_decay
from bnexp.variant import BLOG, PRINTED, QUESTION, TFLEARN, WIKI

RIGHT = Fingerprint(
    keeps_statistics=True,
    mean_recurrence="ema",
    variance_recurrence="ema",
    first_variance=(1.5, 1.5),
    acting_decay=0.9,
    training_uses="batch",
    inference_uses="moving",
    gradient="batch",
    variance_kept=1.0,
)
NEVER = replace(RIGHT, mean_recurrence="never", variance_recurrence="never", acting_decay=nan)


# a right layer after a long run, of which nothing else is known
LONG_RUN = Evidence(
    fingerprint=RIGHT,
    findings=(),
    decay=0.9,
    steps=1_000_000,
    replaced=False,
    accepts_decay=True,
    mean_error=nan,
    variance_ratio=nan,
    moved=0.0,
    accuracy=nan,
    accuracy_batched=nan,
    diverged=0,
)


def judged(seen=RIGHT, *findings, **otherwise):
    return diagnose(replace(LONG_RUN, fingerprint=seen, findings=findings, **otherwise))


def test_a_healthy_layer():
    said = "the statistics move in training alone, by a right recurrence, and inference reads them"
    assert judged() == Diagnosis("healthy", said)


def test_a_healthy_run_shows_its_figures():
    measured = "; at the end of training the moving mean was 0.012 standard deviations from the population's, the "
    measured += "variance 0.987 times the population's"
    assert judged(mean_error=0.0123, variance_ratio=0.9871).sentence.endswith("reads them" + measured)


@pytest.mark.parametrize("name", ["ema", "zero_debias", "cumulative", "stddev_ema", "ghost_ema"])
def test_right_recurrences(name):
    assert judged(replace(RIGHT, variance_recurrence=name)).verdict == "healthy"


# --- no_statistics --------------------------------------------------------------------------------------------------


def test_no_statistics():
    nothing = Fingerprint(keeps_statistics=False)
    said = "the layer keeps no moving statistics: training and inference do the same"
    assert judged(nothing) == Diagnosis("no_statistics", said)
    # but a layer that looks at its company is no such thing
    assert judged(replace(nothing, batch_dependence=0.5)).verdict == "batch_statistics_at_inference"
    assert judged(replace(nothing, inference_uses="batch")).verdict == "batch_statistics_at_inference"


def test_statistics_out_of_sight():
    hidden = judged(Fingerprint(keeps_statistics=False, changed_by_training=1.25))
    assert hidden.verdict == "no_statistics"
    assert hidden.sentence == (
        "no moving statistics were found, yet training changed what inference returns by 1.25: the layer keeps them "
        "in variables that bnexp cannot find"
    )
    assert hidden.cure == "give the layer the attributes moving_mean and moving_variance, variables of [channels]"


# --- updates_never_run, separate_statistics ---------------------------------------------------------------------------

LOST = Finding("update_never_run", "bn1", "Assign", "Assign updates bn1/moving_mean:0 and never runs")


def test_updates_never_run():
    found = judged(NEVER, LOST)
    assert found.verdict == "updates_never_run"
    assert found.sentence == (
        "after training the moving mean is still 0 and the moving variance is still 1, as before training; "
        "Assign updates bn1/moving_mean:0 and never runs"
    )
    assert found.document.startswith(f'{WIKI} ("it will never get executed"); {QUESTION}, version 3')
    assert "control_dependencies(get_collection(UPDATE_OPS))" in found.cure


@pytest.mark.parametrize("statistic", ["mean", "variance"])
def test_one_statistic_alone_never_moves(statistic):
    found = judged(replace(RIGHT, **{f"{statistic}_recurrence": "never"}))
    assert found.verdict == "updates_never_run"
    value = {"mean": 0, "variance": 1}[statistic]
    assert found.sentence == f"after training the moving {statistic} is still {value}, as before training"


@pytest.mark.parametrize(
    ("seen", "document", "cure"),
    [
        ({"training_uses": "moving"}, TFLEARN.title, "tflearn.is_training(True, session)"),
        ({"inference_uses": "batch"}, f"{QUESTION}, version 1", "pass is_training by name"),
        ({"copied_elsewhere": ("bn/mean",)}, f"{BLOG}: get_assigner()", "run ExponentialMovingAverage.apply's op"),
    ],
)
def test_the_document_of_updates_that_never_run(seen, document, cure):
    found = judged(replace(NEVER, **seen))
    assert found.verdict == "updates_never_run"
    assert found.document.startswith(document)
    assert cure in found.cure


def test_updates_of_a_later_layer_never_run():
    """The layer alone is right: the train op runs the first one's updates and forgets the others."""
    later = replace(LOST, layer="bn2", sentence="Assign updates bn2/moving_mean:0 and never runs")
    found = judged(RIGHT, later)
    assert found.verdict == "updates_never_run"
    assert found.sentence == "Assign updates bn2/moving_mean:0 and never runs"


@pytest.mark.parametrize("still", [("mean",), ("variance",), ("mean", "variance")])
def test_separate_statistics(still):
    seen = replace(RIGHT, averaged_elsewhere=("bn/mean", "bn/var"), **{f"{s}_recurrence": "never" for s in still})
    found = judged(seen)
    assert found.verdict == "separate_statistics"
    said = "training averages into bn/mean, bn/var, inference reads others, which never leave 0 and 1"
    assert found.sentence == said
    assert found.document == f"{QUESTION}, version 4: a second call makes a second set of variables"
    audited = Finding("two_sets", "bn1", "bn1/mean", "training writes a; inference reads b")
    assert judged(seen, audited).sentence == "training writes a; inference reads b, which never leave 0 and 1"


# --- what training and inference normalise with -------------------------------------------------------------------------


def test_moving_statistics_in_training():
    found = judged(replace(RIGHT, training_uses="moving", constant_output=4.767))
    assert found.verdict == "moving_statistics_in_training"
    assert found.sentence == (
        "in training a batch of equal rows of 5 came out as 4.77 instead of 0: the moving statistics normalise it, not "
        "the batch's"
    )
    assert found.document == TFLEARN.title


def test_renormalisation_without_bounds_is_no_mistake():
    assert judged(replace(RIGHT, training_uses="moving", variance_recurrence="stddev_ema")).verdict == "healthy"


def test_batch_statistics_at_inference():
    found = judged(replace(RIGHT, inference_uses="batch", batch_dependence=1.234), accuracy=0.05, accuracy_batched=0.95)
    assert found.verdict == "batch_statistics_at_inference"
    assert found.sentence == (
        "the same row gave outputs that differ by 1.23 alone and among others; accuracy 0.050 one by one, 0.950 in large "
        "batches"
    )


def test_company_that_is_a_leaks_doing():
    leaking = replace(RIGHT, batch_dependence=1.0, moved_by_inference=0.5)
    assert judged(leaking).verdict == "leaks_at_inference"
    assert judged(replace(RIGHT, batch_dependence=1e-6)).verdict == "healthy"  # a sum in another order


# --- leaks -------------------------------------------------------------------------------------------------------------


def test_leaks_at_inference():
    writes = Finding("update_at_inference", "bn1", "Assign", "Assign updates bn1/moving_mean:0 at inference")
    found = judged(replace(RIGHT, moved_by_inference=0.61, variance_kept=0.9), writes)
    assert found.verdict == "leaks_at_inference"
    assert found.sentence == (
        "inference changed a moving statistic by 0.61; at decay 0.9 each single example multiplied the moving variance "
        "by 0.9; Assign updates bn1/moving_mean:0 at inference"
    )
    assert found.document == f"{QUESTION}, version 2; {PRINTED}; {WIKI}, the broken class"


def test_a_leak_that_only_the_run_or_only_the_graph_shows():
    assert judged(moved=1e-7).sentence == "inference changed a moving statistic by 1e-07"
    writes = Finding("update_at_inference", "bn1", "Assign", "Assign updates at inference")
    assert judged(RIGHT, writes).verdict == "leaks_at_inference"


def test_test_data_in_statistics():
    found = judged(replace(RIGHT, moved_by_monitoring=0.25))
    assert found.verdict == "test_data_in_statistics"
    assert found.sentence == "watching held-out data while training changed a moving statistic by 0.25"


# --- order, double updates, recurrences --------------------------------------------------------------------------------


def test_unordered_average():
    race = Finding("unordered_average", "bn1", "Read", "nothing orders Read against Assign")
    found = judged(RIGHT, race)
    assert found.verdict == "unordered_average"
    said = "nothing orders Read against Assign: an average may take this batch's moments or the last one's"
    assert found.sentence == said
    # however it came out this time
    assert judged(replace(RIGHT, mean_recurrence="late"), race).verdict == "unordered_average"
    assert judged(replace(RIGHT, mean_recurrence="unknown"), race).verdict == "unordered_average"


def test_a_read_whose_order_does_not_matter_is_no_verdict():
    assert judged(RIGHT, Finding("unordered_read", "bn1", "Read", "nothing orders Read")).verdict == "healthy"


@pytest.mark.parametrize("statistic", ["mean", "variance"])
def test_double_update(statistic):
    found = judged(replace(RIGHT, acting_decay=0.81, **{f"{statistic}_recurrence": "double"}))
    assert found.verdict == "double_update"
    assert found.sentence == (
        "one step moved the mean 0.19 of the way to the batch; at decay 0.9 it should be 0.10: the average is applied "
        "twice"
    )


def test_statistics_shared_by_layers():
    found = judged(RIGHT, Finding("shared_statistics", "bn2", "bn/mean", "bn1 and bn2 keep one bn/mean:0 between them"))
    assert (found.verdict, found.sentence) == ("double_update", "bn1 and bn2 keep one bn/mean:0 between them")


@pytest.mark.parametrize(
    ("seen", "sentence", "document"),
    [
        (
            {"mean_recurrence": "swapped", "variance_recurrence": "swapped", "acting_decay": 0.1},
            "moving mean: decay and 1 - decay are swapped; moving variance: decay and 1 - decay are swapped; a step moves "
            "the mean 0.90 of the way to the batch, 0.10 was asked for; after one step the moving variance was 1.5, an "
            "average from 1 gives 1.5",
            "public code: momentum for 1 - decay (eigenfoo/batch-renorm)",
        ),
        (
            {"mean_recurrence": "ema_of_another_decay", "acting_decay": 0.99},
            "moving mean: it moves by a decay of 0.99 where 0.9 was asked for; a step moves the mean 0.01 of the way to "
            "the batch, 0.10 was asked for",
            "none of the documents",
        ),
        ({"mean_recurrence": "copy"}, "moving mean: it is the last batch's, not an average", "none of the documents"),
        ({"mean_recurrence": "late"}, "moving mean: each step averages the batch before", "none of the documents"),
        ({"mean_recurrence": "unknown"}, "moving mean: it follows no known recurrence", "none of the documents"),
        ({"initial": (0.5, 1.0)}, "moving mean starts at 0.5 instead of 0", "none of the documents"),
        (
            {"initial": (0.0, 0.0), "first_variance": (0.6, 1.5)},
            "moving variance starts at 0 instead of 1; after one step the moving variance was 0.6, an average from 1 gives "
            "1.5",
            "public code: variance from 0 (d2l, Chainer)",
        ),
        (
            {"variance_recurrence": "debias_from_ones", "first_variance": (10.5, 1.5)},
            "moving variance: it starts at 1 and is debiased as if it had started at 0; after one step the moving variance "
            "was 10.5, an average from 1 gives 1.5",
            "public code: the batch norm of Equinox",
        ),
        (
            {"variance_error": 0.00779},
            "where the mean is hundreds of standard deviations the moving variance is off by 0.0078 of itself: "
            "E[x**2] - E[x]**2 loses the digits",
            "none of the documents",
        ),
    ],
)
def test_wrong_recurrence(seen, sentence, document):
    found = judged(replace(RIGHT, **seen))
    assert found.verdict == "wrong_recurrence"
    assert found.sentence == sentence
    assert found.document == document
    assert found.cure.startswith("moving = decay * moving + (1 - decay) * batch, mean from 0 and variance from 1")


def test_a_statistic_that_an_optimizer_trains():
    found = judged(RIGHT, Finding("trained_statistic", "bn1", "Apply", "Apply moves bn1/moving_mean:0"))
    assert (found.verdict, found.sentence) == ("wrong_recurrence", "Apply moves bn1/moving_mean:0")


def test_a_debiased_average_may_start_anywhere():
    debiased = replace(RIGHT, mean_recurrence="zero_debias", variance_recurrence="zero_debias", initial=(0.0, 0.0))
    assert judged(debiased).verdict == "healthy"


# --- wrong_normalisation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (
            {"training_uses": "unknown", "inference_uses": "unknown"},
            "outputs of training and inference are not gamma * (x - mean) / sqrt(variance + epsilon) + beta for any "
            "statistics of the layer or its batch",
        ),
        ({"gradient": "constants"}, "the gradient in training takes the batch's mean and variance for constants"),
        ({"gradient": "nothing"}, "no gradient reaches the layer's inputs"),
        ({"gradient": "unknown"}, "the gradient in training is not the derivative of the outputs"),
        ({"affine_agrees": False}, "inference applies another gamma and beta than training"),
    ],
)
def test_wrong_normalisation(seen, sentence):
    found = judged(replace(RIGHT, **seen))
    assert (found.verdict, found.sentence) == ("wrong_normalisation", sentence)


# --- lagging ---------------------------------------------------------------------------------------------------------


def test_lagging():
    found = judged(decay=0.999, steps=100, variance_ratio=1.234)
    assert found.verdict == "lagging"
    assert found.sentence == (
        "after 100 steps 0.999**100 = 0.905 of the initial 0 and 1 is left in the averages, variance 1.23 times the "
        "population's"
    )
    assert found.document == f"{QUESTION}, tip 4: decay .999 is too slow for few steps"
    assert found.cure == "decay=0.9 would have served; or take final_pass=layerwise"
    replaced = judged(decay=0.999, steps=100, replaced=True)
    assert replaced.cure == "decay=0.9 would have served; here the final pass has replaced the averages"


def test_lagging_begins_where_a_twentieth_is_left():
    # .99**298 = .0500, .99**299 = .0495
    assert 0.99**299 < LAGGING_WEIGHT < 0.99**298
    assert judged(decay=0.99, steps=298).verdict == "lagging"
    assert judged(decay=0.99, steps=299).verdict == "healthy"


def test_a_decay_of_the_layers_own_is_what_lags():
    own = replace(RIGHT, acting_decay=0.99)
    assert judged(own, decay=0.9, steps=100, accepts_decay=False).verdict == "lagging"
    assert judged(RIGHT, decay=0.999, steps=100, accepts_decay=False).verdict == "healthy"


@pytest.mark.parametrize("steps", [1, 2, 10, 50, 100, 500, 1000, 10_000, 100_000])
def test_the_decay_that_serves_leaves_half_a_hundredth(steps):
    served = serving_decay(steps)
    assert served**steps <= SERVED_WEIGHT
    assert judged(decay=served, steps=steps).verdict == "healthy"


def test_the_decay_that_serves_is_the_slowest_of_the_usual_ones():
    assert [serving_decay(steps) for steps in (1, 10, 100, 600, 6000, 60_000)] == [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999]


# --- diverged ---------------------------------------------------------------------------------------------------------


def test_a_run_that_diverged_is_not_healthy():
    found = judged(diverged=7)
    assert found.verdict == "diverged"
    assert found.sentence.startswith("the loss of step 7 is not finite: ")
    # a wrong layer is told of first: it may well be the reason
    assert judged(NEVER, LOST, diverged=7).verdict == "updates_never_run"
    assert judged(NEVER, LOST, diverged=7).also == ("diverged",)


# --- order of the rules ------------------------------------------------------------------------------------------------

ONE_OF_EACH = {
    "no_statistics": ({"keeps_statistics": False}, []),
    "updates_never_run": ({}, [LOST]),
    "separate_statistics": ({"mean_recurrence": "never", "averaged_elsewhere": ("bn/mean",)}, []),
    "moving_statistics_in_training": ({"training_uses": "moving"}, []),
    "batch_statistics_at_inference": ({"inference_uses": "batch"}, []),
    "leaks_at_inference": ({"moved_by_inference": 0.5}, []),
    "test_data_in_statistics": ({"moved_by_monitoring": 0.5}, []),
    "unordered_average": ({}, [Finding("unordered_average", "bn1", "Read", "a race")]),
    "double_update": ({"mean_recurrence": "double"}, []),
    "wrong_recurrence": ({"variance_recurrence": "copy"}, []),
    "wrong_normalisation": ({"gradient": "constants"}, []),
    "diverged": ({}, []),
    "lagging": ({}, []),
}

# what a run must have been like for the verdicts that are not about the layer
OF_THE_RUN = {"diverged": {"diverged": 7}, "lagging": {"decay": 0.999, "steps": 100}}


def test_every_rule_has_its_example():
    assert list(ONE_OF_EACH) == list(VERDICTS)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_one_mistake_is_called_by_its_name(verdict):
    seen, findings = ONE_OF_EACH[verdict]
    found = judged(replace(RIGHT, **seen), *findings, **OF_THE_RUN.get(verdict, {}))
    assert (found.verdict, found.also) == (verdict, ())
    assert found.findings == (tuple(findings) if verdict != "healthy" else ())


def test_of_all_mistakes_at_once_the_gravest_comes_first():
    """Each combination with all that come after it; those are told of, in their order."""
    order = ["moving_statistics_in_training", "batch_statistics_at_inference", "leaks_at_inference"]
    order += ["test_data_in_statistics", "unordered_average", "double_update", "wrong_recurrence"]
    order += ["wrong_normalisation"]
    for position, verdict in enumerate(order):
        seen, findings = {}, []
        for name in order[position:]:
            seen |= ONE_OF_EACH[name][0]
            findings += ONE_OF_EACH[name][1]
        found = judged(replace(RIGHT, **seen), *findings)
        assert (found.verdict, found.also) == (verdict, tuple(order[position + 1 :]))


def test_a_mistake_comes_with_document_and_cure():
    for verdict, (seen, findings) in ONE_OF_EACH.items():
        found = judged(replace(RIGHT, **seen), *findings, **OF_THE_RUN.get(verdict, {}))
        texts = {
            field.name: getattr(found, field.name) for field in fields(found) if field.name in ("document", "cure")
        }
        # a network that diverges is in no document about batch norm
        silent = {"no_statistics": ["document", "cure"], "diverged": ["document"]}.get(verdict, [])
        assert [name for name, text in texts.items() if not text] == silent, texts
