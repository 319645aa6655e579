"""What is recorded of a layer: the names that a file has for it, and how stretches of a training are joined."""

import numpy as np
import pytest

from bnexp.statistics.layer_statistics import STATISTICS, LayerStatistics, from_arrays, to_arrays

RNG = np.random.default_rng(0)


def recorded(steps, *, moving=True):
    drawn = [np.float32(RNG.normal(size=[steps, 3])) for _ in range(4)]
    return LayerStatistics(*(drawn if moving else drawn[:2]))


def test_a_file_names_layer_and_statistic():
    full, bare = recorded(2), recorded(2, moving=False)
    arrays = to_arrays({"bn1": full, "block1/bn": bare})
    batch = ["block1/bn/batch_mean", "block1/bn/batch_variance"]
    assert list(arrays) == [*(f"bn1/{name}" for name in STATISTICS), *batch]
    assert arrays["bn1/moving_variance"] is full.moving_variance
    found = from_arrays(arrays)
    assert list(found) == ["bn1", "block1/bn"]
    assert found["bn1"].arrays().keys() == full.arrays().keys()
    assert all(found["bn1"].arrays()[name] is array for name, array in full.arrays().items())
    assert found["block1/bn"].moving is None


def test_moments_are_those_of_batch_and_average():
    found = recorded(2)
    assert (found.batch.mean is found.batch_mean, found.batch.variance is found.batch_variance) == (True, True)
    assert (found.moving.mean is found.moving_mean, found.moving.variance is found.moving_variance) == (True, True)


@pytest.mark.parametrize("moving", [True, False])
def test_stretches_of_a_training_are_joined_to_the_whole(moving):
    whole = recorded(7, moving=moving)
    parts = [whole.rows(np.arange(0, 2)), whole.rows(np.arange(7) >= 2)]
    assert len(parts[0].batch_mean) == 2
    joined = LayerStatistics.joined(parts)
    assert (joined.moving is None) == (not moving)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(joined.arrays()[name], array)
