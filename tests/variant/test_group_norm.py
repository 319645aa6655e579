"""What is peculiar to `group_norm`: groups that are lowered to what divides the channels."""

import numpy as np
import pytest

from bnexp.graph.layer import variant_factory
from bnexp.probe import trace_layer


@pytest.mark.parametrize(("groups", "channels", "used"), [(4, 6, 2), (4, 3, 1), (3, 6, 3), (8, 4, 4)])
def test_groups_are_the_largest_common_divisor(groups, channels, used):
    made = variant_factory("group_norm", decay=0.9, epsilon=1e-6)
    made.keywords["groups"] = groups
    rows = np.float32(np.random.default_rng(0).normal(3.0, 2.0, [1, 4, 5, 1, channels]))
    found = trace_layer(made, rows, rows, decay=0.9, epsilon=1e-6, engine="session").train_outputs[0]
    grouped = found.reshape(4, 5, used, channels // used)
    np.testing.assert_allclose(grouped.mean((1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(grouped.var((1, 3)), 1, rtol=1e-4)
