"""What is peculiar to `control_deps_same_graph`: two whole sets of variables, gamma and beta too."""

import numpy as np

from bnexp.engine.single_layer import lone_layer, run_calls
from bnexp.variant.control_deps_same_graph import BatchNorm


def test_the_training_set_is_right_and_unread():
    alone = lone_layer(BatchNorm, (3,), engine="session", decay=0.9, epsilon=1e-3)
    rows = np.float32(np.random.default_rng(0).normal(3.0, 2.0, [5, 8, 3]))
    run_calls(alone, alone.graph.train, rows)
    state = alone.state()
    names = {
        f"{scope}/{name}" for scope in ("bn", "bn_1") for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    assert set(state) - {"anchor"} == names
    expected = np.zeros(3)
    for batch in rows:
        expected = 0.9 * expected + 0.1 * batch.mean(0)
    np.testing.assert_allclose(state["bn/moving_mean"], expected, rtol=1e-5)
    assert not state["bn_1/moving_mean"].any()
    assert np.all(state["bn_1/moving_variance"] == 1)
    assert alone.name_of(alone.graph.layers["bn"].moving_mean) == "bn_1/moving_mean"
