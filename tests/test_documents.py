"""The numbers that the documents print, as tests. Rows are numbered as in the documents: seed 0 to seed 4."""

import numpy as np
import pytest
import tensorflow as tf

from bnexp.probe import trace_layer

v1 = tf.compat.v1


def seed_3_draws():
    """Its program's own random numbers: 100 batches of four, then ten single rows."""
    random = np.random.RandomState(1006)
    rows = random.multivariate_normal([0, 100], np.eye(2), size=410).astype(np.float32)
    return rows[:400].reshape(100, 4, 2), rows[400:].reshape(10, 1, 2)


class TestSeed3:
    """The printed iterations: six digits of statistics, from float32 in another order of operations."""

    @pytest.mark.parametrize("engine", ["compiled", "session"])
    def test_the_twin_calls_leak_exactly_as_printed(self, engine):
        train, test = seed_3_draws()
        trace = trace_layer("contrib_twin", train, test, decay=0.9, epsilon=1e-3, engine=engine)
        # float32 near 100 is good to 4e-6 a step, and the average forgets all but ten steps
        near = {"rtol": 0, "atol": 2e-5}
        np.testing.assert_allclose(trace.moving_mean[99], [-0.024102, 99.817641], **near)
        np.testing.assert_allclose(trace.moving_variance[99], [0.908382, 0.654374], **near)
        np.testing.assert_allclose(trace.moving_mean[100], [-0.199846, 99.929986], **near)
        np.testing.assert_allclose(trace.moving_variance[100], [0.817544, 0.588937], **near)
        np.testing.assert_allclose(trace.moving_mean[101], [-0.304406, 100.049606], **near)
        np.testing.assert_allclose(trace.moving_variance[101], [0.735789, 0.530043], **near)
        np.testing.assert_allclose(trace.moving_mean[102], [-0.284680, 99.979584], **near)
        np.testing.assert_allclose(trace.moving_variance[102], [0.662210, 0.477039], **near)
        np.testing.assert_allclose(trace.moving_mean[109], [0.104363, 100.152632], **near)
        np.testing.assert_allclose(trace.moving_variance[109], [0.316733, 0.228166], **near)

    def test_its_outputs_are_those_of_before_or_after_the_leak(self):
        train, test = seed_3_draws()
        trace = trace_layer("contrib_twin", train, test, decay=0.9, epsilon=1e-3)
        mean, variance = trace.moving_mean, trace.moving_variance
        orders = [(test[0] - mean[i]) / np.sqrt(variance[i] + 1e-3) for i in (99, 100)]
        assert any(np.allclose(trace.inference_outputs[0], order, atol=1e-4) for order in orders)
        np.testing.assert_allclose(orders[0], [[-1.842926, 1.387739]], atol=5e-5)

    def test_the_fused_kernel_s_statistics_are_others(self):
        train, test = seed_3_draws()
        trace = trace_layer("fused", train, test, decay=0.9, epsilon=1e-3)
        np.testing.assert_allclose(trace.moving_mean[99], [-0.024102, 99.817641], rtol=0, atol=2e-5)
        np.testing.assert_allclose(trace.moving_variance[99], [1.211167, 0.872490], rtol=0, atol=2e-5)

    def test_answer_1_one_call_with_a_bool_tensor_leaks_nothing(self):
        train, test = seed_3_draws()
        trace = trace_layer("contrib", train, test, decay=0.9, epsilon=1e-3)
        assert np.all(trace.moving_mean[99:] == trace.moving_mean[99])
        assert np.all(trace.moving_variance[99:] == trace.moving_variance[99])
        np.testing.assert_allclose(trace.inference_outputs[0], [[-1.842926, 1.387739]], atol=5e-5)
        np.testing.assert_allclose(trace.inference_outputs[1], [[-1.281, 1.616]], atol=1e-3)


class TestSeed2:
    """The demonstrations of the API, in the graphs they were written for."""

    @staticmethod
    def run(build, steps):
        with tf.Graph().as_default(), v1.Session() as session:
            fetch, read = build()
            session.run(v1.global_variables_initializer())
            values = []
            for _ in range(steps):
                session.run(fetch)
                values.append(session.run(read))
            return values

    @pytest.mark.parametrize(
        ("copied", "expected"), [(False, [0.0, 0.0, 0.0, 0.0, 0.0]), (True, [1.0, 2.0, 3.0, 4.0, 5.0])]
    )
    def test_a_python_assignment_makes_no_op_and_no_dependency(self, copied, expected):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.Variable(0.0)
            with tf.control_dependencies([v1.assign_add(x, 1.0)]):
                y = tf.identity(x) if copied else x
            session.run(v1.global_variables_initializer())
            assert [session.run(y) for _ in range(5)] == expected

    @pytest.mark.parametrize(
        ("start", "change", "expected"), [(1.0, 1.0, [1.1, 1.29, 1.561]), (1.0, -0.1, [0.99, 0.971, 0.9439])]
    )
    def test_the_average_of_a_variable_starts_at_its_initial_value(self, start, change, expected):
        def build():
            w = v1.Variable(start)
            ema = v1.train.ExponentialMovingAverage(0.9)
            with tf.control_dependencies([v1.assign_add(w, change)]):
                apply = ema.apply([w])
            return apply, ema.average(w)

        np.testing.assert_allclose(self.run(build, 3), expected, atol=3e-7)

    def test_average_before_apply_is_none(self):
        with tf.Graph().as_default():
            w = v1.Variable(1.0)
            assert v1.train.ExponentialMovingAverage(0.9).average(w) is None

    def test_a_group_runs_all_of_it(self):
        with tf.Graph().as_default(), v1.Session() as session:
            a, b, c = v1.Variable(0.1), v1.Variable(0.2), v1.Variable(0.3)
            update = tf.group(v1.assign_add(a, 1.0), v1.assign_sub(b, 0.01))
            with tf.control_dependencies([v1.assign_add(c, 1.0)]):
                everything = tf.group(update)
            session.run(v1.global_variables_initializer())
            session.run(everything)
            np.testing.assert_allclose(session.run([a, b, c]), [1.1, 0.19, 1.3], atol=1e-7)

    def test_the_seventh_argument_is_a_name_today(self):
        with tf.Graph().as_default(), pytest.raises(TypeError):
            one = tf.ones([1])
            tf.nn.batch_normalization(tf.ones([2, 1]), one, one, one, one, 1e-3, True)

    @pytest.mark.parametrize("engine", ["compiled", "session"])
    def test_the_unordered_recipe_averages_this_batch_or_the_last(self, engine):
        batches = np.random.default_rng(0).normal(5.0, 1.0, [12, 4, 2]).astype(np.float32)
        trace = trace_layer("ema_unordered", batches, batches[:1], decay=0.99, epsilon=1e-3, engine=engine)
        means = batches.mean(axis=1)
        before = np.zeros(2)
        for step in range(12):
            now = trace.moving_mean[step]
            choices = [0.99 * before + 0.01 * value for value in (means[step], means[step - 1] if step else 0.0)]
            assert any(np.allclose(now, choice, atol=1e-5) for choice in choices), f"step {step + 1}: {now}"
            before = now


class TestSeed4:
    """A batch of equal rows must come out as 0."""

    ROWS = np.full([1, 4, 3], 5.0, np.float32)

    # op by op x * inv + (beta - mean * inv) cancels exactly; XLA fuses it into one rounding, of numbers near 5 * 316
    @pytest.mark.parametrize(("engine", "rounding"), [("session", 0.0), ("compiled", 5 * 316 * 2**-24)])
    def test_a_layer_in_training_mode_gives_0(self, engine, rounding):
        trace = trace_layer("tflearn", self.ROWS, self.ROWS, decay=0.9, epsilon=1e-5, engine=engine)
        assert np.abs(trace.train_outputs).max() <= rounding
        np.testing.assert_allclose(trace.moving_mean[0], 0.5, rtol=1e-6)
        np.testing.assert_allclose(trace.moving_variance[0], 0.9, rtol=1e-6)

    def test_a_layer_that_nobody_switched_on_gives_the_input_back(self):
        trace = trace_layer("tflearn_untrained_flag", self.ROWS, self.ROWS, decay=0.9, epsilon=1e-5)
        np.testing.assert_allclose(trace.train_outputs, 5 / np.sqrt(1 + 1e-5), rtol=1e-6)

    @pytest.mark.parametrize(("rank", "ddof"), [(2, 0), (4, 1)])
    def test_one_step_of_tf_layers(self, rank, ddof):
        shape = [1, 8, 3] if rank == 2 else [1, 4, 2, 2, 3]
        batch = np.random.default_rng(1).normal([5.0, -1.0, 40.0], [1.0, 2.0, 0.5], shape).astype(np.float32)
        trace = trace_layer("update_ops", batch, batch, decay=0.9, epsilon=1e-3)
        flat = np.float64(batch).reshape(-1, 3)
        np.testing.assert_allclose(trace.moving_mean[0], 0.1 * flat.mean(axis=0), rtol=1e-6)
        # float32 rounds values near 40 to 4e-6, a hundred-thousandth of their spread
        np.testing.assert_allclose(trace.moving_variance[0], 0.9 + 0.1 * flat.var(axis=0, ddof=ddof), rtol=1e-5)


class TestSeed1:
    """The four versions, the two answers and the tips."""

    BATCHES = np.random.default_rng(2).normal(5.0, 2.0, [50, 8, 3]).astype(np.float32)
    SINGLES = np.random.default_rng(3).normal(5.0, 2.0, [4, 1, 3]).astype(np.float32)

    def test_version_1_gives_0_for_every_single_example(self):
        trace = trace_layer("contrib_positional", self.BATCHES, self.SINGLES, decay=0.999, epsilon=1e-3)
        assert np.all(trace.moving_mean == 0)
        assert np.all(trace.moving_variance == 1)
        # x * inv + (beta - mean * inv): rounding of numbers near 5 * 31.6
        np.testing.assert_allclose(trace.inference_outputs, 0.0, atol=2e-5)

    def test_version_2_multiplies_the_variance_by_decay_at_every_single_example(self):
        singles = np.random.default_rng(4).normal(size=[1000, 1, 2]).astype(np.float32)
        trace = trace_layer("contrib_twin", self.BATCHES[:1, :, :2], singles, decay=0.999, epsilon=1e-3)
        # a thousand float32 products, each off by at most 6e-8 of itself
        np.testing.assert_allclose(trace.moving_variance[-1] / trace.moving_variance[0], 0.367695, rtol=1e-4)

    @pytest.mark.parametrize("variant", ["slim_detached", "update_ops_forgotten", "update_ops_collected_too_early"])
    def test_version_3_gives_the_input_back_but_for_the_root_of_1_001(self, variant):
        trace = trace_layer(variant, self.BATCHES, self.SINGLES, decay=0.999, epsilon=1e-3)
        np.testing.assert_allclose(trace.inference_outputs / self.SINGLES, 0.99950037, rtol=1e-6)

    def test_version_4_in_one_graph_reads_a_second_set(self):
        trace = trace_layer("control_deps_same_graph", self.BATCHES, self.SINGLES, decay=0.999, epsilon=1e-3)
        np.testing.assert_allclose(trace.inference_outputs / self.SINGLES, 0.99950037, rtol=1e-6)

    def test_its_zeros_initializer_became_a_class(self):
        with pytest.raises(TypeError):
            v1.zeros_initializer([3])

    def test_fifty_steps_of_the_plain_and_the_debiased_average(self):
        plain = trace_layer("control_deps", self.BATCHES, self.SINGLES, decay=0.999, epsilon=1e-3)
        debiased = trace_layer("zero_debias", self.BATCHES, self.SINGLES, decay=0.999, epsilon=1e-3)
        means = np.float64(self.BATCHES).mean(axis=1)
        weights = 0.001 * 0.999 ** np.arange(49, -1, -1)
        np.testing.assert_allclose(plain.moving_mean[49], weights @ means, rtol=1e-5)
        # 1 - .999**t in float32 is off by up to 2e-5 of itself
        np.testing.assert_allclose(debiased.moving_mean[49], weights @ means / weights.sum(), rtol=4e-5)
        np.testing.assert_allclose(debiased.moving_mean[0], means[0], rtol=4e-5)
        assert plain.moving_mean[49].max() < 0.3
        assert debiased.moving_mean[49].min() > 4.5

    @pytest.mark.parametrize(
        ("decay", "steps", "left"),
        [
            (0.999, 100, 0.9048),
            (0.999, 500, 0.6064),
            (0.999, 1000, 0.3677),
            (0.99, 100, 0.3660),
            (0.99, 500, 0.0066),
            (0.9, 50, 0.0052),
        ],
    )
    def test_tip_4_what_is_left_of_the_initial_variance(self, decay, steps, left):
        # equal rows have variance 0: what remains is the initial 1's weight
        constant = np.ones([steps, 2, 1], np.float32)
        trace = trace_layer("contrib", constant, constant[:1], decay=decay, epsilon=1e-3, engine="compiled")
        np.testing.assert_allclose(trace.moving_variance[steps - 1], left, atol=1e-4)

    def test_double_update_weighs_a_batch_by_19_hundredths(self):
        trace = trace_layer("double_update", self.BATCHES[:1], self.SINGLES, decay=0.9, epsilon=1e-3)
        mean = np.float64(self.BATCHES[0]).mean(axis=0)
        np.testing.assert_allclose(trace.moving_mean[0] / mean, 0.19, rtol=1e-5)


@pytest.mark.parametrize("variant", ["control_deps", "keras"])
def test_with_decay_0_training_and_inference_agree_on_a_batch(variant):
    """TensorFlow issue 41979: they do where the moving variance is the biased one."""
    batch = np.random.default_rng(5).normal(2.0, 3.0, [1, 2, 3, 3, 2]).astype(np.float32)
    trace = trace_layer(variant, batch, batch, decay=0.0, epsilon=1e-3)
    np.testing.assert_allclose(trace.train_outputs, trace.inference_outputs, atol=1e-6)


def test_with_decay_0_they_differ_by_bessel_s_correction():
    batch = np.random.default_rng(5).normal(2.0, 3.0, [1, 2, 3, 3, 2]).astype(np.float32)
    trace = trace_layer("update_ops", batch, batch, decay=0.0, epsilon=1e-3)
    variance = np.float64(batch).reshape(-1, 2).var(axis=0)
    ratio = np.sqrt((variance + 1e-3) / (variance * 18 / 17 + 1e-3))
    np.testing.assert_allclose(trace.inference_outputs, trace.train_outputs * ratio, rtol=1e-5, atol=1e-6)
