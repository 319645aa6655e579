"""What is peculiar to `ghost`: parts that are interleaved, of unlike sizes, or more than there are rows."""

import numpy as np
import pytest

from bnexp.graph.layer import variant_factory
from bnexp.probe import trace_layer


def trace(rows, parts):
    made = variant_factory("ghost", decay=0.5, epsilon=1e-6)
    made.keywords["parts"] = parts
    return trace_layer(made, rows, rows[:1], decay=0.5, epsilon=1e-6, engine="session")


def test_parts_are_interleaved():
    # rows 0 and 2 make one part, 1 and 3 the other, as tf.keras has it
    rows = np.float32([[[1.0], [10.0], [3.0], [30.0]]])
    np.testing.assert_allclose(trace(rows, 2).train_outputs.ravel(), [-1, -1, 1, 1], rtol=1e-5)


def test_what_lies_between_the_parts_is_in_no_variance():
    rows = np.float32([[[0.0], [100.0], [2.0], [102.0]]])
    # each part has variance 1; the batch has 2501
    np.testing.assert_allclose(trace(rows, 2).moving_variance[0], 0.5 * 1 + 0.5 * 1, rtol=1e-6)


@pytest.mark.parametrize("parts", [3, 5, 8])
def test_a_batch_that_does_not_divide(parts):
    rows = np.float32(np.random.default_rng(0).normal(3.0, 2.0, [1, 5, 2]))
    within = [rows[0, part::parts].var(0) for part in range(min(parts, 5))]
    np.testing.assert_allclose(trace(rows, parts).moving_variance[0], 0.5 + 0.5 * np.mean(within, 0), rtol=1e-5)
