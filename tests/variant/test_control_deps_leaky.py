"""What is peculiar to `control_deps_leaky`: inference reads its statistics after the leak, every time."""

import numpy as np
import pytest

from bnexp.probe import trace_layer
from bnexp.statistics.reference import normalise


@pytest.mark.parametrize("engine", ["session", "compiled"])
def test_inference_reads_what_it_has_just_leaked(engine):
    rng = np.random.default_rng(0)
    rows, singles = (np.float32(rng.normal(3.0, 2.0, shape)) for shape in ([4, 8, 3], [40, 1, 3]))
    seen = trace_layer("control_deps_leaky", rows, singles, decay=0.9, epsilon=0.1, engine=engine)
    after = zip(singles, seen.moving_mean[4:], seen.moving_variance[4:], strict=True)
    expected = [normalise(x, mean, variance, 0.1) for x, mean, variance in after]
    np.testing.assert_allclose(seen.inference_outputs, expected, rtol=1e-5, atol=1e-5)
