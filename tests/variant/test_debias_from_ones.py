"""What is peculiar to `debias_from_ones`: the figures of its docstring."""

import numpy as np
import pytest

from bnexp.probe import trace_layer


def test_a_true_variance_of_1_reads_100_after_one_step():
    rows = np.tile(np.float32([[-1.0], [1.0]]), [100, 1, 1])  # mean 0, variance 1
    seen = trace_layer("debias_from_ones", rows, rows[:1], decay=0.99, epsilon=1e-3)
    variance = seen.moving_variance[:, 0]
    # the docstring has three digits
    assert variance[[0, 9, 99]] == pytest.approx([100, 10.46, 1.58], rel=2e-3)
    assert not seen.moving_mean.any()
