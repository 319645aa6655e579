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
from bnexp.evaluation.harm import Harm
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
UNHARMED = Harm(nan, nan, nan, flips=0)
NEVER = replace(RIGHT, mean_recurrence="never", variance_recurrence="never", acting_decay=nan)


# a right layer after a long run, of which nothing else is known
LONG_RUN = Evidence(
    fingerprint=RIGHT,
    findings=(),
    decay=0.9,
    steps=1_000_000,
    replaced=False,
    harm=UNHARMED,
    mean_error=nan,
    variance_ratio=nan,
    moved=0.0,
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
    replaced = judged(mean_error=0.0123, variance_ratio=0.9871, replaced=True)
    assert replaced.sentence.endswith("reads them" + measured + ", and the final pass has replaced them")


@pytest.mark.parametrize(
    "name", ["ema", "ema_num_updates", "zero_debias", "cumulative", "stddev_ema", "ghost_ema", "ghost_steps"]
)
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


def test_the_document_of_averages_that_nobody_reads():
    found = judged(replace(NEVER, copied_elsewhere=("bn/mean",)))
    assert found.verdict == "updates_never_run"
    assert found.document == f"{BLOG}: get_assigner() must be run and is not; bn/mean holds the last batch only"
    assert "run ExponentialMovingAverage.apply's op" in found.cure


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
    assert found.cure == "normalise with the batch's own moments while training; check which flag the layer got"


def test_a_mode_that_nothing_switches_comes_before_the_updates_that_it_keeps_from_running():
    found = judged(replace(NEVER, training_uses="moving", constant_output=4.767))
    assert (found.verdict, found.also) == ("moving_statistics_in_training", ("updates_never_run",))
    assert found.sentence == (
        "in training a batch of equal rows of 5 came out as 4.77 instead of 0: the moving statistics normalise it, not "
        "the batch's, and they stay at 0 and 1: nothing switches the mode"
    )
    assert found.document == f"{TFLEARN}, the question (a layer that is frozen on purpose looks the same)"
    assert "tflearn.is_training(True, session)" in found.cure
    # of two statistics that stand still, both must
    one = judged(replace(RIGHT, variance_recurrence="never", training_uses="moving"))
    assert (one.verdict, one.also) == ("moving_statistics_in_training", ("updates_never_run",))
    assert one.document == TFLEARN.title
    assert "nothing switches the mode" not in one.sentence


def test_renormalisation_without_bounds_is_no_mistake():
    assert judged(replace(RIGHT, training_uses="moving", variance_recurrence="stddev_ema")).verdict == "healthy"


def test_batch_statistics_at_inference():
    seen = replace(RIGHT, inference_uses="batch", batch_dependence=1.234)
    found = judged(seen, harm=replace(UNHARMED, accuracy=0.05), accuracy_batched=0.95)
    assert found.verdict == "batch_statistics_at_inference"
    assert found.sentence == (
        "the same row gave outputs that differ by 1.23 alone and among others; accuracy 0.050 one by one, 0.950 in large "
        "batches"
    )
    assert (found.document, found.also) == (f"{WIKI} (Keras mode 2)", ())
    assert found.cure == "call the layer with training=False (is_training=False) at inference"


def test_a_flag_in_the_wrong_place_comes_before_the_updates_that_it_keeps_from_running():
    found = judged(replace(NEVER, inference_uses="batch", batch_dependence=1.234))
    assert (found.verdict, found.also) == ("batch_statistics_at_inference", ("updates_never_run",))
    assert found.sentence == "the same row gave outputs that differ by 1.23 alone and among others"
    assert found.document == f"{QUESTION}, version 1: is_training passed second, where it lands in decay"
    assert "pass is_training by name" in found.cure
    apart = judged(replace(NEVER, inference_uses="batch", averaged_elsewhere=("bn/mean",)))
    assert (apart.verdict, apart.also) == ("batch_statistics_at_inference", ("separate_statistics",))


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
            "moving mean: it moves by another decay than was asked for; a step moves the mean 0.01 of the way to "
            "the batch, 0.10 was asked for",
            "none of the documents",
        ),
        ({"mean_recurrence": "copy"}, "moving mean: it is the last batch's, not an average", "none of the documents"),
        ({"mean_recurrence": "late"}, "moving mean: each step averages the batch before", "none of the documents"),
        ({"mean_recurrence": "unknown"}, "moving mean: it follows no known recurrence", "none of the documents"),
        (
            {"initial": (0.5, 1.0)},
            "moving mean starts at 0.5 instead of 0; nothing of that start is left after 1000000 steps",
            "none of the documents",
        ),
        (
            {"initial": (0.0, 0.0), "first_variance": (0.6, 1.5)},
            "moving variance starts at 0 instead of 1; nothing of that start is left after 1000000 steps; after one step the "
            "moving variance was 0.6, an average from 1 gives 1.5",
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
            "where the mean is hundreds of standard deviations the moving variance is off by 0.0078 of itself, "
            "as E[x**2] - E[x]**2 is, which loses the digits",
            "none of the documents",
        ),
    ],
)
def test_wrong_recurrence(seen, sentence, document):
    found = judged(replace(RIGHT, **seen))
    assert found.verdict == "wrong_recurrence"
    assert found.sentence == sentence
    assert found.document == document
    cure = "moving = decay * moving + (1 - decay) * batch, mean from 0 and variance from 1, the variance as "
    cure += "mean((x - mean)**2)"
    if "swapped" in seen.values():
        cure += "; if this layer's momentum is meant to be 1 - decay, as in PyTorch, give it that: decay=0.1 for 0.9"
    assert found.cure == cure


def test_a_decay_of_the_layers_own_was_asked_for_by_nobody():
    own = replace(RIGHT, takes_decay=False)
    swapped = judged(replace(own, mean_recurrence="swapped", acting_decay=0.1))
    assert swapped.sentence == (
        "moving mean: decay and 1 - decay are swapped; a step moves the mean 0.90 of the way to the batch"
    )
    assert swapped.cure.endswith("mean((x - mean)**2)")
    double = judged(replace(own, mean_recurrence="double", acting_decay=0.81))
    assert double.sentence == "one step moved the mean 0.19 of the way to the batch, by two updates"
    leaks = judged(replace(own, moved_by_inference=0.61, variance_kept=0.95, acting_decay=0.95))
    assert "at decay 0.95 each single example multiplied the moving variance by 0.95" in leaks.sentence


def test_how_much_of_a_wrong_start_is_left():
    found = judged(replace(RIGHT, initial=(0.5, 1.0)), decay=0.9, steps=10)
    assert found.sentence.endswith("starts at 0.5 instead of 0; 0.35 of that start is left after 10 steps")


def test_a_statistic_that_an_optimizer_trains():
    found = judged(RIGHT, Finding("trained_statistic", "bn1", "Apply", "Apply moves bn1/moving_mean:0"))
    assert found.verdict == "wrong_recurrence"
    assert found.sentence == "Apply moves bn1/moving_mean:0: it is trainable"


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


# of 1000 examples, 0.2 more are right: 0.2 / 0.0126 = 15.9 standard errors
HARMED = Harm(0.7, 0.9, 0.0126, flips=0)
COSTS = "it costs accuracy here: accuracy 0.7000 one by one, 0.9000 with the population's statistics, 15.9 standard errors more"
BEHIND = "take final_pass=layerwise, or a smaller learning_rate at the end"


def test_a_final_pass_that_has_replaced_slow_averages_makes_them_healthy():
    """The verdict is on what inference uses now; that the averages were too slow is told beside it."""
    found = judged(decay=0.999, steps=100, replaced=True)
    assert (found.verdict, found.also) == ("healthy", ("lagging",))
    assert found.sentence.startswith("the statistics move in training alone, by a right recurrence")
    assert (found.document, found.cure) == ("", "")
    # but not if what it measured still costs accuracy
    still = judged(decay=0.999, steps=100, replaced=True, harm=HARMED)
    assert (still.verdict, still.also) == ("lagging", ())
    assert still.sentence == (
        "the final pass's statistics are not what inference meets with the last weights: the population's gain "
        f"accuracy; {COSTS}"
    )
    assert still.cure == BEHIND
    # a final pass puts nothing else right
    wrong = judged(replace(RIGHT, gradient="constants"), decay=0.999, steps=100, replaced=True)
    assert (wrong.verdict, wrong.also) == ("wrong_normalisation", ("lagging",))


def test_averages_lag_where_the_populations_gain_accuracy():
    found = judged(harm=HARMED)
    assert (found.verdict, found.also) == ("lagging", ())
    assert found.sentence == (
        "the averages, of a right recurrence, are not what inference meets with the last weights: the population's gain "
        f"accuracy; {COSTS}"
    )
    assert found.document == f"{QUESTION}, tip 4: decay .999 is too slow for few steps"
    assert found.cure == BEHIND
    # a start that is left explains what the population's gain, and comes with a cure of its own
    started = judged(decay=0.999, steps=100, harm=HARMED)
    assert (started.verdict, started.also) == ("lagging", ())
    assert started.sentence == f"{judged(decay=0.999, steps=100).sentence}; {COSTS}"
    assert started.cure == "decay=0.9 would have served; or take final_pass=layerwise"
    # a debiased average has no start to remember
    debiased = replace(RIGHT, mean_recurrence="zero_debias", variance_recurrence="zero_debias")
    assert judged(debiased, decay=0.999, steps=100).verdict == "healthy"
    assert judged(debiased, decay=0.999, steps=100, harm=HARMED).verdict == "lagging"
    # a mistake that was found explains it too, and so does a layer that has no averages
    assert judged(replace(RIGHT, mean_recurrence="copy"), harm=HARMED).also == ()
    assert judged(replace(RIGHT, inference_uses="batch"), harm=HARMED).also == ()
    assert judged(Fingerprint(keeps_statistics=False), harm=HARMED).also == ()


def test_a_gain_counts_from_two_standard_errors_on():
    assert not Harm(0.75, 1.0, 0.125, flips=0).matters
    assert judged(harm=Harm(0.75, 1.0, 0.125, flips=0)).verdict == "healthy"
    assert judged(harm=Harm(0.75, 1.0, 0.124, flips=0)).verdict == "lagging"
    assert judged(harm=Harm(0.75, 0.5, 0.01, flips=0)).verdict == "healthy"  # the population's lose


# --- the harm --------------------------------------------------------------------------------------------------------


def test_the_sentence_ends_with_the_harm_where_it_was_measured():
    wrong = replace(RIGHT, mean_recurrence="copy")
    said = judged(wrong).sentence
    assert judged(wrong, harm=HARMED).sentence == f"{said}; {COSTS}"
    flipped = judged(wrong, harm=replace(HARMED, flips=7)).sentence
    assert flipped == f"{said}; {COSTS}, and large batches change 7 predictions"


def test_a_mistake_may_be_harmless():
    none = Harm(0.9, 0.9, 0.0126, flips=0)
    now = "accuracy 0.9000 one by one, 0.9000 with the population's statistics"
    wrong = replace(RIGHT, mean_recurrence="copy")
    assert judged(wrong, harm=none).sentence.endswith(f"; harmless here: {now}")
    # of a leak that large batches show, or where more than the statistics is wrong, nobody can say that
    leak = judged(replace(RIGHT, moved_by_inference=0.5), harm=replace(none, flips=2)).sentence
    assert leak.endswith(f"; {now}, and large batches change 2 predictions")
    assert "harmless" not in leak
    other = judged(replace(RIGHT, gradient="constants"), harm=none).sentence
    assert other.endswith(f"; {now}")
    assert "harmless" not in other
    right = judged(harm=none).sentence
    assert right.endswith(f"and inference reads them; {now}")


def test_a_gain_of_every_example_has_no_standard_error():
    """As of a small test set of which all was wrong, and all is right."""
    found = judged(harm=Harm(0.0, 1.0, 0.0, flips=0))
    assert found.verdict == "lagging"
    assert (
        "it costs accuracy here: accuracy 0.0000 one by one, 1.0000 with the population's statistics" in found.sentence
    )


def test_a_run_that_diverged_measured_no_harm():
    found = judged(diverged=7, harm=Harm(0.1, 0.1, 0.0126, flips=0))
    assert found.sentence == judged(diverged=7).sentence


# --- updates that a layer leaves to others ---------------------------------------------------------------------------


def test_what_becomes_of_updates_that_are_left_to_the_train_op():
    left = {"left": ("the collection UPDATE_OPS",), "by_minimize": NEVER}
    found = judged(**left)
    assert found.verdict == "healthy"
    assert found.sentence == (
        "the statistics move in training alone, by a right recurrence, and inference reads them; its updates stand in "
        "the collection UPDATE_OPS: right under a train op that waits for them, never run by plain minimize"
    )
    slow = judged(decay=0.999, steps=100, **left)
    assert slow.verdict == "lagging"
    assert "right under a train op that waits for them" in slow.sentence
    wrong = judged(replace(RIGHT, mean_recurrence="copy"), left=("a", "b"), by_minimize=RIGHT)
    assert wrong.sentence.endswith(
        "its updates stand in a and b: wrong_recurrence under a train op that waits for them, right by plain minimize"
    )


def test_lagging_begins_where_a_twentieth_is_left():
    # .99**298 = .0500, .99**299 = .0495
    assert 0.99**299 < LAGGING_WEIGHT < 0.99**298
    assert judged(decay=0.99, steps=298).verdict == "lagging"
    assert judged(decay=0.99, steps=299).verdict == "healthy"


def test_a_decay_of_the_layers_own_is_what_lags():
    own = replace(RIGHT, takes_decay=False, acting_decay=0.99)
    assert judged(own, decay=0.9, steps=100).verdict == "lagging"
    assert judged(replace(own, acting_decay=0.9), decay=0.999, steps=100).verdict == "healthy"


@pytest.mark.parametrize("decay", [1.22, -1.48])
def test_an_average_that_grows_is_no_crash(decay):
    """What fits a layer that adds its batches up, and takes no decay: decay**1000000 is no float."""
    grows = replace(RIGHT, takes_decay=False, mean_recurrence="unknown", acting_decay=decay)
    assert judged(grows).verdict == "wrong_recurrence"


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
    "moving_statistics_in_training": ({"training_uses": "moving"}, []),
    "batch_statistics_at_inference": ({"inference_uses": "batch"}, []),
    "updates_never_run": ({}, [LOST]),
    "separate_statistics": ({"mean_recurrence": "never", "averaged_elsewhere": ("bn/mean",)}, []),
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
    order = [
        "moving_statistics_in_training",
        "batch_statistics_at_inference",
        "updates_never_run",
        "leaks_at_inference",
    ]
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
