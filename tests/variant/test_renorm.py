"""What is peculiar to `renorm`: what is averaged is the standard deviation."""

from functools import partial

import numpy as np
import pytest

from bnexp.engine.single_layer import lone_layer, run_calls
from bnexp.variant.renorm import BatchNorm


def test_one_step_averages_the_stddev():
    factory = partial(BatchNorm, rmax=3.0, dmax=5.0)
    alone = lone_layer(factory, (1,), engine="session", decay=0.9, epsilon=0.25)
    run_calls(alone, alone.graph.train, np.float32([[[-2.0], [2.0]]]))  # variance 4
    state = alone.state()
    stddev = 0.9 * np.sqrt(1.25) + 0.1 * np.sqrt(4.25)
    assert state["bn/moving_stddev"][0] == pytest.approx(stddev, rel=1e-6)
    assert state["bn/moving_variance"][0] == pytest.approx(stddev**2 - 0.25, rel=1e-6)
    # which is no average of variances: that would be 1.3
    assert state["bn/moving_variance"][0] < 1.22
