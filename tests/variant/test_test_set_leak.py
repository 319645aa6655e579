"""What is peculiar to `test_set_leak`: the layer is right, and the way of watching it is not."""

import numpy as np

from bnexp.engine.single_layer import lone_layer, run_calls
from bnexp.probe import trace_layer
from bnexp.variant.test_set_leak import BatchNorm

ROWS = np.float32(np.random.default_rng(0).normal(3.0, 2.0, [5, 8, 2]))


def test_unwatched_it_is_control_deps():
    one, other = (
        trace_layer(n, ROWS, ROWS[:, :1], decay=0.9, epsilon=1e-3, engine="session")
        for n in ("test_set_leak", "control_deps")
    )
    for part in ("moving_mean", "moving_variance", "train_outputs", "inference_outputs"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_each_look_averages_the_held_out_data():
    alone = lone_layer(BatchNorm, (2,), engine="session", decay=0.9, epsilon=1e-3)
    held_out = ROWS[:1] + 100
    for look in range(1, 4):
        run_calls(alone, alone.graph.monitor, held_out)
        expected = (1 - 0.9**look) * held_out[0].mean(0)
        np.testing.assert_allclose(alone.state()["bn/moving_mean"], expected, rtol=1e-5)
