"""What is peculiar to `ema`: its own variables hold the last batch, and their averages are elsewhere."""

import numpy as np
import pytest

from bnexp.engine.single_layer import lone_layer, run_calls
from bnexp.variant import ema, ema_never_applied


@pytest.mark.parametrize(("module", "averages"), [(ema, True), (ema_never_applied, False)])
def test_the_layers_own_variables_hold_the_last_batch(module, averages):
    alone = lone_layer(module.BatchNorm, (3,), engine="session", decay=0.9, epsilon=1e-3)
    rows = np.float32(np.random.default_rng(0).normal(3.0, 2.0, [5, 8, 3]))
    run_calls(alone, alone.graph.train, rows)
    state = alone.state()
    np.testing.assert_allclose(state["bn/moving_mean"], rows[-1].mean(0), rtol=1e-5)
    np.testing.assert_allclose(state["bn/moving_variance"], rows[-1].var(0), rtol=1e-5)
    # the same look as a right layer's to whoever looks at these; inference reads the averages
    averaged = "bn/moving_mean/ExponentialMovingAverage"
    assert alone.name_of(alone.graph.layers["bn"].moving_mean) == averaged
    assert bool(state[averaged].any()) == averages
