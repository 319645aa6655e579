"""The numbers that the documents print, or that follow from what they say, come out of the variants.

The documents are those of `bnexp.variant`, and stand here one after the other.
"""

from functools import cache
from itertools import product

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow.python.training import moving_averages

from bnexp.engine.single_layer import LAYER, lone_layer, run_calls
from bnexp.graph import Of
from bnexp.graph.layer import variant_factory
from bnexp.probe import trace_layer

v1 = tf.compat.v1

ENGINES = ["session", "compiled"]


@pytest.fixture
def session():
    """A session on a graph of its own, which is the current one."""
    with tf.Graph().as_default(), v1.Session() as running:
        yield running


def start(running):
    running.run(v1.global_variables_initializer())


def layer(name, channels, *, decay, epsilon=1e-3, engine="session"):
    """One layer alone, with its engine, to be called in any order."""
    factory = variant_factory(name, decay=decay, epsilon=epsilon)
    return lone_layer(factory, (channels,), engine=engine, decay=decay, epsilon=epsilon)


def statistics(calls):
    return calls[Of(LAYER, "moving_mean")], calls[Of(LAYER, "moving_variance")]


# --- the page with the printed iterations ---

# after training, then after the leaking test calls 1, 2, 3 and 10; variance biased, as printed, and Bessel-corrected
MEANS = [
    [-0.024102, 99.817641],
    [-0.199846, 99.929986],
    [-0.304406, 100.049606],
    [-0.284680, 99.979584],
    [0.104363, 100.152632],
]
BIASED = [[0.908382, 0.654374], [0.817544, 0.588937], [0.735789, 0.530043], [0.662210, 0.477039], [0.316733, 0.228166]]
CORRECTED = [
    [1.211167, 0.872490],
    [1.090050, 0.785241],
    [0.981045, 0.706717],
    [0.882941, 0.636045],
    [0.422308, 0.304218],
]
PRINTED = [0, 1, 2, 3, 10]  # test calls so far

# what the page shows, to its three digits
PAGE = [
    # x, y, check, mean, variance
    ([-1.782, 100.941], [-1.843, 1.388], [-1.842, 1.387], [-0.2, 99.93], [0.818, 0.589]),
    ([-1.245, 101.126], [-1.156, 1.557], [-1.155, 1.557], [-0.304, 100.05], [0.736, 0.53]),
    ([-0.107, 99.349], [0.23, -0.961], [0.23, -0.96], [-0.285, 99.98], [0.662, 0.477]),
]

# a float32 near 100 has a spacing of 7.6e-6; six digits behind the point are one of it
SIX_DIGITS = 1e-5


@pytest.fixture(scope="module")
def page():
    """The program's data: 100 batches of four to train on, ten single rows to test with."""
    state = np.random.get_state()
    np.random.seed(1006)
    normal = stats.multivariate_normal([0, 100])
    training = np.float32([normal.rvs(4) for _ in range(100)])
    testing = np.float32([normal.rvs(1).reshape(1, -1) for _ in range(10)])
    np.random.set_state(state)
    return training, testing


@pytest.mark.parametrize("engine", ENGINES)
def test_twin_prints_what_the_page_prints(page, engine):
    training, testing = page
    seen = trace_layer("contrib_twin", training, testing, decay=0.9, epsilon=1e-3, engine=engine)
    after = [99 + calls for calls in PRINTED]
    np.testing.assert_allclose(seen.moving_mean[after], MEANS, rtol=0, atol=SIX_DIGITS)
    np.testing.assert_allclose(seen.moving_variance[after], BIASED, rtol=0, atol=1.5e-6)
    for call, (x, y, check, mean, variance) in enumerate(PAGE, 1):
        np.testing.assert_allclose(testing[call - 1, 0], x, atol=5e-4)
        np.testing.assert_allclose(seen.moving_mean[99 + call], mean, atol=5.1e-4)
        np.testing.assert_allclose(seen.moving_variance[99 + call], variance, atol=5.1e-4)
        # the page's own check divides by stddev + .001 instead of sqrt(variance + .001)
        before_mean, before_stddev = seen.moving_mean[98 + call], np.sqrt(seen.moving_variance[98 + call])
        np.testing.assert_allclose((testing[call - 1, 0] - before_mean) / (before_stddev + 0.001), check, atol=5.2e-4)
        # nothing orders the read before the leak or after it; the page's run read before it every time
        choices = product(seen.moving_mean[98 + call : 100 + call], seen.moving_variance[98 + call : 100 + call])
        allowed = [(testing[call - 1, 0] - m) / np.sqrt(v + 1e-3) for m, v in choices]
        found = seen.inference_outputs[call - 1, 0]
        assert min(np.abs(found - y_allowed).max() for y_allowed in allowed) < 1e-4
        np.testing.assert_allclose(allowed[0], y, atol=5.1e-4)


def test_every_leaking_call_multiplies_the_variance_by_the_decay(page):
    seen = trace_layer("contrib_twin", *page, decay=0.9, epsilon=1e-3, engine="session")
    np.testing.assert_allclose(seen.moving_variance[100:] / seen.moving_variance[99:-1], 0.9, rtol=1e-6)


def test_fused_fed_the_same_way_averages_corrected_variances(page):
    """The page's digits prove the unfused layer: today's default, fed the same, would have printed others."""
    training, testing = page
    alone = layer("fused", 2, decay=0.9)
    trained = statistics(run_calls(alone, alone.graph.train, training))
    first = run_calls(alone, alone.graph.inference, testing[:1])["outputs"][0, 0]
    leaked = statistics(run_calls(alone, alone.graph.train, testing))  # a leak is a training call with a test row
    means, variances = (np.concatenate([a[-1:], b])[PRINTED] for a, b in zip(trained, leaked, strict=True))
    np.testing.assert_allclose(means, MEANS, rtol=0, atol=SIX_DIGITS)
    np.testing.assert_allclose(variances, CORRECTED, rtol=0, atol=1.5e-6)
    np.testing.assert_allclose(first, [-1.596246, 1.202053], atol=5e-5)
    assert np.abs(variances[1] - PAGE[0][4]).min() > 0.19


@pytest.mark.parametrize("engine", ENGINES)
def test_answer_1_leaves_the_statistics_alone(page, engine):
    seen = trace_layer("contrib", *page, decay=0.9, epsilon=1e-3, engine=engine)
    for series in (seen.moving_mean, seen.moving_variance):
        assert np.all(series[99:] == series[99])  # bit for bit
    np.testing.assert_allclose(seen.inference_outputs[0, 0], [-1.842926, 1.387739], atol=5e-5)
    # the second row, by the trained statistics and not by those that the first has moved
    np.testing.assert_allclose(seen.inference_outputs[1, 0], [-1.281, 1.616], atol=5e-4)


def test_the_programs_unpacking_proves_a_plain_average(session):
    """`beta, gamma, mean, var = ...` takes exactly four variables; debiasing would have made eight."""
    counts = {}
    for name in ("contrib_twin", "zero_debias"):
        with tf.Graph().as_default():
            made = variant_factory(name, decay=0.9, epsilon=1e-3)(name="bn")
            made(v1.placeholder(tf.float32, [None, 2]), tf.constant(True) if name == "contrib_twin" else True)
            counts[name] = len(v1.get_collection(v1.GraphKeys.GLOBAL_VARIABLES, scope="bn"))
    assert counts == {"contrib_twin": 4, "zero_debias": 8}


# --- the blog: the demonstrations ---


@pytest.mark.parametrize(
    ("identity", "expected"), [(False, [0.0] * 5), (True, [1.0, 2.0, 3.0, 4.0, 5.0])], ids=["y=x", "identity"]
)
def test_a_dependency_binds_ops_that_are_made_under_it(session, identity, expected):
    x = v1.Variable(0.0)
    x_plus_1 = v1.assign_add(x, 1)
    with tf.control_dependencies([x_plus_1]):
        y = tf.identity(x) if identity else x
    start(session)
    assert [session.run(y) for _ in range(5)] == expected


@pytest.mark.parametrize("under_dependencies", [True, False])
def test_average_of_a_variable_starts_at_its_value(session, under_dependencies):
    w, b = v1.Variable(1.0, name="w"), v1.Variable(1.0, name="b")
    ema = v1.train.ExponentialMovingAverage(0.9)
    updates = [v1.assign_add(w, 1.0), v1.assign_sub(b, 0.1)]
    with tf.control_dependencies(updates if under_dependencies else []):
        ema_op = ema.apply([w, b])
    start(session)
    seen = []
    for _ in range(3):
        if not under_dependencies:
            session.run(updates)  # apply need not wait for them where the script runs the two one after the other
        session.run(ema_op)
        seen.append(session.run([ema.average(w), ema.average(b)]))
    # float32: three steps of two roundings each
    np.testing.assert_allclose(seen, [[1.1, 0.99], [1.29, 0.971], [1.561, 0.9439]], rtol=0, atol=5e-7)
    assert v1.get_collection(v1.GraphKeys.MOVING_AVERAGE_VARIABLES) == [w, b]
    assert ema.average(w).name == "w/ExponentialMovingAverage:0"


def test_there_is_no_average_before_apply(session):
    ema, w = v1.train.ExponentialMovingAverage(0.9), v1.Variable(1.0)
    assert ema.average(w) is None
    ema.apply([w])
    assert ema.average(w) is not None


def test_average_of_a_tensor_starts_at_0(session):
    value, plain, debiased = [2.0, 3.0, 4.0], [0.2, 0.48, 0.832], [2.0, 2.526316, 3.070111]
    fed = v1.placeholder(tf.float32, [])
    for zero_debias, expected in ((False, plain), (True, debiased)):
        tensor = tf.identity(fed)
        ema = v1.train.ExponentialMovingAverage(0.9, zero_debias=zero_debias)
        ema_op = ema.apply([tensor])
        start(session)
        seen = []
        for x in value:
            session.run(ema_op, {fed: x})
            seen.append(session.run(ema.average(tensor)))
        np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_a_group_runs_all_its_members(session):
    a, b, c = (v1.Variable(value) for value in (0.1, 0.2, 0.3))
    update_a, update_b, update_c = v1.assign_add(a, 1), v1.assign_sub(b, 0.01), v1.assign_add(c, 1)
    update = tf.group(update_a, update_b)
    with tf.control_dependencies([update_c]):
        update_all = tf.group(update)
    start(session)
    session.run(update_all)
    np.testing.assert_allclose(session.run([a, b, c]), [1.1, 0.19, 1.3], rtol=1e-6)


def test_a_group_is_a_no_op_that_waits(session):
    a, b = tf.constant(1.0, name="a"), tf.constant(2.0, name="b")
    group = tf.group(a, b)
    with tf.control_dependencies([a, b]):
        no_op = tf.no_op()
    for op in (group, no_op):
        assert op.type == "NoOp"
        assert {waited.name for waited in op.control_inputs} == {"a", "b"}


def test_the_seventh_argument_is_a_name_now(session):
    """The class's literal call, with scale_after_normalization where today `name` stands."""
    one = tf.ones([2])
    with pytest.raises(TypeError, match="expected string or bytes-like object, got 'bool'"):
        tf.nn.batch_normalization(tf.ones([3, 2]), one, one, one, one, 1e-3, True)


def test_the_class_at_inference_before_its_assigner(session):
    ema, mean = v1.train.ExponentialMovingAverage(0.99), v1.Variable(tf.zeros([2]))
    message = r"unsupported operand type\(s\) for \+: 'NoneType' and 'float'"
    with pytest.raises(TypeError, match=message):
        tf.nn.batch_normalization(tf.ones([3, 2]), ema.average(mean), ema.average(mean), None, None, 1e-3)


def test_the_ordered_recipe_is_the_weighted_sum():
    """Sum of .99**(59 - i) * .01 * mean_i over 60 steps: what the racing recipe only sometimes gives."""
    batches = np.float32(np.random.default_rng(2).normal([5.0, -3.0], [2.0, 0.5], [60, 16, 2]))
    weights = 0.01 * 0.99 ** np.arange(59, -1, -1)
    seen = trace_layer("ema", batches, batches[:1], decay=0.99, epsilon=1e-3, engine="session")
    means, variances = batches.mean(1, dtype=np.float64), batches.var(1, dtype=np.float64)
    np.testing.assert_allclose(seen.moving_mean[-1], weights @ means, rtol=1e-5)
    np.testing.assert_allclose(seen.moving_variance[-1], 0.99**60 + weights @ variances, rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_racing_recipe_takes_this_batch_or_the_last(engine):
    batches = np.float32(np.random.default_rng(2).normal([5.0, -3.0], [2.0, 0.5], [60, 16, 2]))
    seen = trace_layer("ema_unordered", batches, batches[:1], decay=0.99, epsilon=1e-3, engine=engine)
    means = batches.mean(1, dtype=np.float64)
    before = np.zeros(2)
    for step in range(60):
        choices = [means[step], means[step - 1] if step else np.zeros(2)]
        allowed = [0.99 * before + 0.01 * choice for choice in choices]
        assert min(np.abs(seen.moving_mean[step] - value).max() for value in allowed) < 1e-6
        before = np.float64(seen.moving_mean[step])


# --- "How to use Batch Normalization correctly in tensorflow?": the four versions ---


def test_untrained_statistics_return_almost_the_input():
    """Updates that never run: inference multiplies by 1 / sqrt(1.001) = 0.99950037."""
    batches = np.float32(np.random.default_rng(1).normal(5.0, 2.0, [50, 8, 2]))
    for name in ("slim_detached", "update_ops_forgotten", "ema_never_applied"):
        seen = trace_layer(name, batches, batches[:1], decay=0.999, epsilon=1e-3, engine="session")
        assert not seen.moving_mean.any()  # exactly 0 and 1
        assert np.all(seen.moving_variance == 1)
        np.testing.assert_allclose(seen.inference_outputs / batches[:1], 0.99950037, rtol=2e-7)


def test_positional_flag_answers_0_to_a_single_row():
    batches = np.float32(np.random.default_rng(1).normal(5.0, 2.0, [50, 8, 2]))
    singles = np.float32(np.random.default_rng(2).normal(5.0, 2.0, [6, 1, 2]))
    seen = trace_layer("contrib_positional", batches, singles, decay=0.999, epsilon=1e-3, engine="session")
    assert not seen.moving_mean.any()
    assert np.all(seen.moving_variance == 1)
    # x - x, up to the rounding of x / sqrt(epsilon): 5 * 31.6 * 1.2e-7
    np.testing.assert_allclose(seen.inference_outputs, 0, atol=2e-5)


def test_a_thousand_leaking_calls_leave_a_third_of_the_variance():
    rng = np.random.default_rng(1)
    batches, singles = (np.float32(rng.normal(5.0, 2.0, shape)) for shape in ([5, 8, 2], [1000, 1, 2]))
    seen = trace_layer("contrib_twin", batches, singles, decay=0.999, epsilon=1e-3)
    # a thousand products, each rounded: 1000 * 6e-8 at most
    np.testing.assert_allclose(seen.moving_variance[-1] / seen.moving_variance[4], 0.367695, rtol=7e-5)


@cache
def starts_left(decay):
    """The moving variance after each of 5000 steps on batches that have none."""
    alone = layer("control_deps", 1, decay=decay, engine="compiled")
    return statistics(run_calls(alone, alone.graph.train, np.zeros([5000, 2, 1], np.float32)))[1][:, 0]


@pytest.mark.parametrize(
    ("decay", "steps", "left"),
    [
        (0.999, 100, 0.9048),
        (0.999, 500, 0.6064),
        (0.999, 800, 0.4491),
        (0.999, 1000, 0.3677),
        (0.999, 5000, 0.0067),
        (0.99, 100, 0.3660),
        (0.99, 500, 0.0066),
        (0.99, 800, 3.2e-4),
        (0.9, 50, 0.0052),
        (0.9, 100, 2.7e-5),
    ],
)
def test_what_is_left_of_the_start(decay, steps, left):
    """Tip 4. Batches of mean 0 and variance 0 leave of the moving variance, 1 at first, its start alone."""
    found = starts_left(decay)[steps - 1]
    assert found == pytest.approx(decay**steps, rel=4e-4)  # 1 - decay is rounded once, and acts every step
    assert found == pytest.approx(left, abs=6e-5, rel=0.02)


def steady(steps, mean, variance):
    """Batches of two rows that have exactly this mean and this biased variance."""
    spread = np.sqrt(variance)
    return np.tile(np.float32([[mean - spread], [mean + spread]]), [steps, 1, 1])


def test_a_debiased_average_is_there_at_once():
    """Version 4 on TensorFlow 1.0 and later against the same layer before it: 50 steps of mean 5 at decay .999."""
    batches = steady(50, 5.0, 3.0)
    plain, debiased = (
        trace_layer(name, batches, batches[:1], decay=0.999, epsilon=1e-3, engine="session")
        for name in ("control_deps", "zero_debias")
    )
    weight = 1 - 0.999**50  # .0488
    # float32 rounds 1 - .999 by 1.4e-5 of itself, and 1 - .999**t likewise
    np.testing.assert_allclose(plain.moving_mean[-1], 5 * weight, rtol=2e-5)
    np.testing.assert_allclose(plain.moving_variance[-1], 1 + 2 * weight, rtol=2e-5)
    np.testing.assert_allclose(debiased.moving_mean[:50], 5, rtol=3e-5)
    np.testing.assert_allclose(debiased.moving_variance[:50], 3, rtol=3e-5)
    assert plain.moving_mean[-1, 0] == pytest.approx(0.2440, abs=5e-5)


def test_the_helper_itself_debiases_by_default(session):
    """What changed under versions 3 and 4 and both answers: a debiased average, and two variables more."""
    moving, value = v1.get_variable("moving", initializer=1.0, trainable=False), v1.placeholder(tf.float32, [])
    update = moving_averages.assign_moving_average(moving, value, 0.9)
    start(session)
    assert session.run(update, {value: 7.0}) == pytest.approx(7.0, rel=1e-6)  # the initial 1 is gone
    assert [v.name for v in v1.global_variables()] == ["moving:0", "moving/biased:0", "moving/local_step:0"]


def test_the_helper_does_not_find_its_variables_again(session):
    """Answer 1 literally: under reuse=True the helper's own variables were never made."""
    with v1.variable_scope("s"):
        moving = v1.get_variable("moving", initializer=1.0, trainable=False)
    message = "Variable s/s/moving/biased does not exist, or was not created with tf.get_variable"
    with v1.variable_scope("s", reuse=True), pytest.raises(ValueError, match=message):
        moving_averages.assign_moving_average(moving, tf.constant(1.0), 0.9)


def test_answer_1_looks_one_scope_too_deep(session):
    with v1.variable_scope("s"):
        v1.get_variable("gamma", [2], initializer=v1.ones_initializer())
    message = "Variable s/BatchNorm/gamma does not exist, or was not created with tf.get_variable"
    with v1.variable_scope("s/BatchNorm", reuse=True), pytest.raises(ValueError, match=message):
        v1.get_variable("gamma")


def test_version_3_calls_what_has_become_a_class(session):
    with pytest.raises(TypeError, match=r"Cannot convert .*\[2\].* to a TensorFlow DType"):
        v1.Variable(v1.zeros_initializer([2])([2]), trainable=False)


# --- "Does batch normalization in tensorflow use running averages during training?": the constant minibatch ---

FIVES = np.full([1, 4, 3], 5.0, np.float32)


@pytest.mark.parametrize("engine", ENGINES)
def test_equal_rows_come_out_as_0_in_training(engine):
    alone = layer("tflearn", 3, decay=0.9, epsilon=1e-5, engine=engine)
    calls = run_calls(alone, alone.graph.train, FIVES)
    if engine == "session":
        assert not calls["outputs"].any()  # exactly, as on the page
    # compiled, x / stddev - mean / stddev is one fused operation and shows the rounding of 5 / sqrt(1e-5)
    # has a spacing of 1.2e-4, half of which is the most that it can be off
    np.testing.assert_allclose(calls["outputs"], 0, atol=6.2e-5)
    mean, variance = statistics(calls)
    np.testing.assert_allclose(mean, 0.5, rtol=1e-6)
    np.testing.assert_allclose(variance, 0.9, rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_equal_rows_come_out_unchanged_where_the_mode_was_never_switched(engine):
    alone = layer("tflearn_untrained_flag", 3, decay=0.9, epsilon=1e-5, engine=engine)
    gamma = np.float32([1.0024, 0.99975, 1.0])  # tflearn draws it from N(1, .002)
    alone.assign({"bn/gamma": gamma})
    calls = run_calls(alone, alone.graph.train, FIVES)
    np.testing.assert_allclose(calls["outputs"], np.broadcast_to(5 * gamma / np.sqrt(1 + 1e-5), FIVES.shape), rtol=3e-7)
    assert calls["outputs"][0, 0] == pytest.approx([5.0120, 4.9987, 5.0], abs=5e-5)
    mean, variance = statistics(calls)
    assert not mean.any()
    assert np.all(variance == 1)


@pytest.mark.parametrize("name", ["tflearn", "tflearn_untrained_flag"])
def test_the_accepted_answer_cannot_help_tflearn(name):
    alone = layer(name, 3, decay=0.9)
    graph = alone.graph.train.feeds[0].graph
    assert graph.get_collection(v1.GraphKeys.UPDATE_OPS) == []


def test_one_step_of_the_answers_layer():
    """mm = .1 * mean and mv = .9 + .1 * variance: biased for dense inputs, Bessel-corrected for images."""
    rng = np.random.default_rng(4)
    for shape, ddof in (([1, 6, 2], 0), ([1, 3, 2, 2, 2], 1)):
        batch = np.float32(rng.normal(3.0, 2.0, shape))
        seen = trace_layer("update_ops", batch, batch, decay=0.9, epsilon=1e-3, engine="session")
        rows = batch.reshape(-1, 2).astype(np.float64)
        np.testing.assert_allclose(seen.moving_mean[0], 0.1 * rows.mean(0), rtol=1e-6)
        np.testing.assert_allclose(seen.moving_variance[0], 0.9 + 0.1 * rows.var(0, ddof=ddof), rtol=1e-6)


def test_update_ops_looked_at_too_early_are_none(session):
    factory = variant_factory("update_ops_collected_too_early", decay=0.9, epsilon=1e-3)
    early = factory(name="bn")
    early(v1.placeholder(tf.float32, [None, 2]), tf.constant(True))
    assert early.collected == []
    assert len(v1.get_collection(v1.GraphKeys.UPDATE_OPS)) == 2


# --- the wiki page, and the public code around the documents ---


def test_restore_must_come_last(session, tmp_path):
    """Initialising after a restore puts the statistics back to 0 and 1, and so does saving trainable variables alone."""
    made = variant_factory("control_deps", decay=0.5, epsilon=1e-3)(name="bn")
    inputs = v1.placeholder(tf.float32, [None, 2])
    outputs = made(inputs, True)
    statistics = [made.moving_mean, made.moving_variance]
    everything, trainable = v1.train.Saver(), v1.train.Saver(v1.trainable_variables())
    start(session)
    session.run(outputs, {inputs: [[1.0, 2.0], [5.0, 10.0]]})
    trained = session.run(statistics)
    np.testing.assert_allclose(trained, [[1.5, 3.0], [2.5, 8.5]])
    paths = [saver.save(session, str(tmp_path / name)) for saver, name in ((everything, "all"), (trainable, "some"))]

    start(session)
    everything.restore(session, paths[0])
    np.testing.assert_array_equal(session.run(statistics), trained)
    start(session)
    np.testing.assert_array_equal(session.run(statistics), [[0, 0], [1, 1]])
    trainable.restore(session, paths[1])
    np.testing.assert_array_equal(session.run(statistics), [[0, 0], [1, 1]])


def test_double_update_weighs_a_batch_by_19_hundredths():
    batch = steady(1, 4.0, 9.0)
    seen = trace_layer("double_update", batch, batch, decay=0.9, epsilon=1e-3, engine="session")
    np.testing.assert_allclose(seen.moving_mean[0], 0.190 * 4, rtol=1e-6)
    np.testing.assert_allclose(seen.moving_variance[0], 1 + 0.190 * 8, rtol=1e-6)


def test_the_start_in_a_keras_pull_request():
    """keras#9003: 100 steps at .99 towards a variance of 4: 2.902 from 1; a debiased average is there."""
    batches = steady(100, 0.0, 4.0)
    for name, expected in (("control_deps", 4 - 3 * 0.99**100), ("keras", 2.902), ("zero_debias", 4.0)):
        seen = trace_layer(name, batches, batches[:1], decay=0.99, epsilon=1e-3, engine="session")
        assert seen.moving_variance[99, 0] == pytest.approx(expected, abs=5e-4)


def test_three_rows_by_three_modes():
    """timodenk's blog: -10, 0 and 10 untrained, in training, and one at a time in training."""
    rows = np.float32([[[-10.0], [0.0], [10.0]]])
    alone = layer("contrib", 1, decay=0.9)
    untrained = run_calls(alone, alone.graph.inference, rows)["outputs"]
    np.testing.assert_allclose(untrained.ravel(), [-9.995004, 0, 9.995004], rtol=1e-6)
    training = run_calls(alone, alone.graph.train, rows)["outputs"]
    np.testing.assert_allclose(training.ravel(), [-1.2247357, 0, 1.2247357], rtol=1e-6, atol=1e-7)
    single = run_calls(alone, alone.graph.train, rows[:, 2:])["outputs"]
    assert single.ravel() == pytest.approx([0.0], abs=5e-5)  # 10 / sqrt(.001) has a spacing of 3e-5


@pytest.mark.parametrize("name", ["contrib", "control_deps", "slim", "keras", "update_ops", "fused"])
def test_decay_0_then_training_and_inference_on_one_batch(name):
    """tensorflow#41979: they agree where the variance is biased and cannot where it is Bessel-corrected."""
    batch = np.float32(np.random.default_rng(41979).normal(1.0, 2.0, [1, 2, 3, 3, 2]))
    seen = trace_layer(name, batch, batch, decay=0.0, epsilon=1e-3, engine="session")
    variance = batch.reshape(-1, 2).astype(np.float64).var(0)
    corrected = name in ("update_ops", "fused")
    ratio = np.sqrt((variance + 1e-3) / (variance * 18 / 17 + 1e-3)) if corrected else np.ones(2)
    np.testing.assert_allclose(seen.inference_outputs, seen.train_outputs * ratio, rtol=1e-5, atol=2e-6)
    difference = np.linalg.norm(seen.inference_outputs - seen.train_outputs)
    assert (difference > 0.1) == corrected  # .169 on the data, 0.0 where biased
