"""What is peculiar to `variance_from_zero`: outputs that are far too large while there are few steps."""

import numpy as np

from bnexp.probe import trace_layer


def test_before_any_step_inference_divides_by_the_root_of_epsilon():
    rows = np.float32(np.random.default_rng(0).normal(3.0, 2.0, [40, 8, 2]))
    untrained = trace_layer("variance_from_zero", rows[:0], rows[:1], decay=0.9, epsilon=1e-3, engine="session")
    np.testing.assert_allclose(untrained.inference_outputs, rows[:1] * 31.622777, rtol=1e-6)
    # one step, and then forty: the start is forgotten as decay**t
    for steps in (1, 40):
        seen = trace_layer("variance_from_zero", rows[:steps], rows[:1], decay=0.9, epsilon=1e-3, engine="session")
        right = trace_layer("control_deps", rows[:steps], rows[:1], decay=0.9, epsilon=1e-3, engine="session")
        low = right.moving_variance[-1] - seen.moving_variance[-1]
        np.testing.assert_allclose(low, 0.9**steps, rtol=1e-4)
