"""Counts, means and variances of batches, merged: against NumPy's own over all values at once, in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import images, small_model

from bnexp.dataset import make_dataset
from bnexp.statistics.moments import BatchMoments, Moments, mean_error, mean_within, pooled, variance_ratio


def batch_moments(values: np.ndarray, sizes: list[int]) -> BatchMoments:
    """Returns the moments of consecutive batches of `values` [examples, channels]."""
    batches = np.split(values, np.cumsum(sizes)[:-1])
    return BatchMoments(
        np.array([len(batch) for batch in batches], np.float64),
        np.array([batch.mean(0) for batch in batches]),
        np.array([batch.var(0) for batch in batches]),
    )


def values_of(seed: int, offset: float, examples: int) -> np.ndarray:
    """Returns float64 values of two channels: one about `offset` standard deviations from 0, one centred."""
    return np.random.default_rng(seed).normal(size=[examples, 2]) * [1.0, 3.0] + [offset, 0.0]


splits = st.lists(st.integers(1, 40), min_size=1, max_size=12)
offsets = st.sampled_from([0.0, 1.0, -50.0, 1e3, 1e6])


@settings(max_examples=60, deadline=None)
@given(sizes=splits, offset=offsets, seed=st.integers(0, 2**32 - 1))
def test_pooled_is_the_moments_of_all_values(sizes, offset, seed):
    values = values_of(seed, offset, sum(sizes))
    found = pooled(batch_moments(values, sizes))
    # each mean of at most 40 values is off by 40 roundings of 1e6 at most, 40 * 1e6 * 1.1e-16 = 5e-9, and so are the
    # differences of means whose squares are added; both channels spread by 1 or more
    np.testing.assert_allclose(found.mean, values.mean(0), rtol=1e-14, atol=2e-8)
    np.testing.assert_allclose(found.variance, values.var(0), rtol=1e-12, atol=2e-8)


@settings(max_examples=60, deadline=None)
@given(sizes=splits, others=splits, offset=offsets, seed=st.integers(0, 2**32 - 1))
def test_pooled_does_not_depend_on_the_split(sizes, others, offset, seed):
    values = values_of(seed, offset, sum(sizes))
    # the same values again, cut where `others` says as far as they go
    cuts = [cut for cut in np.cumsum(others).tolist() if cut < len(values)]
    again = np.diff([0, *cuts, len(values)]).tolist()
    one, other = pooled(batch_moments(values, sizes)), pooled(batch_moments(values, again))
    # rounding as above
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-14, atol=2e-8)
    np.testing.assert_allclose(one.variance, other.variance, rtol=1e-12, atol=2e-8)


def test_a_shorter_last_batch_weighs_what_it_holds():
    batches = BatchMoments(np.array([3.0, 1.0]), np.array([[2.0], [10.0]]), np.array([[6.0], [0.0]]))
    found = pooled(batches)
    # values such as 2 - 3, 2, 2 + 3 have variance 6; with 10 the mean is 16/4 = 4, and E[(x - 4)**2] =
    # (3 * (6 + (2 - 4)**2) + (10 - 4)**2) / 4 = (30 + 36) / 4
    assert found.mean == [4.0]
    assert found.variance == [16.5]


def test_a_mean_of_1000_standard_deviations_leaves_the_variance_its_digits():
    values = values_of(0, 1000.0, 5000)
    found = pooled(batch_moments(values, [128] * 39 + [8]))
    np.testing.assert_allclose(found.variance, values.var(0), rtol=1e-10)
    # what the merge replaces, in float32, has no digit left: the test can tell
    short = np.float32(values[:, 0])
    naive = np.mean(short**2, dtype=np.float32) - np.mean(short, dtype=np.float32) ** 2
    assert abs(naive - 1) > 0.05


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_mean_of_1000_standard_deviations_end_to_end(network):
    """Through a real network's first layer, float32 data, graph and all, with a last batch of another size."""
    random = np.random.default_rng(1)
    x = random.normal(size=[64, 4, 4, 1]).astype(np.float32)
    y = np.arange(64) % 3
    dataset = make_dataset(x, y, x, y, source="x")
    model = small_model(dataset, network=network)
    # the first layer's input is x times this kernel, in float32: its own rounding must not come in, so the products are
    # exact: 0 everywhere but for a 1, and an offset that is an integer
    state = model.state()
    kernel = next(name for name in state if name.endswith("1/kernel"))
    weights = np.zeros_like(state[kernel])
    centre = (1, 1) if network == "cnn" else ()
    weights[(*centre, 0)] = 1.0
    model.assign({kernel: weights})
    shifted = x + np.float32(1000.0)
    found = pooled(model.input_moments(shifted, np.arange(64), batch_size=10, batch_mode=True, layers=["bn1"])["bn1"])
    values = np.float64(shifted[:, 0, 0, 0] if network == "mlp" else shifted)
    # float64 throughout: 1000**2 * 1.1e-16 * 64 * 16 values = 1e-7 of the variance at the very worst
    assert found.mean[0] == pytest.approx(values.mean(), rel=1e-12)
    assert found.variance[0] == pytest.approx(values.var(), rel=1e-6)


def test_mean_within_is_algorithm_2():
    """The paper: E[x] is the mean of batch means, Var[x] is m/(m-1) times the mean of batch variances."""
    values = values_of(3, 20.0, 60)
    found = mean_within(batch_moments(values, [12] * 5))
    parts = values.reshape(5, 12, 2)
    np.testing.assert_allclose(found.mean, parts.mean(1).mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.variance, 12 / 11 * parts.var(1).mean(0), rtol=1e-12)


def test_mean_within_weighs_a_shorter_batch_by_its_degrees_of_freedom():
    batches = BatchMoments(np.array([4.0, 1.0]), np.array([[1.0], [6.0]]), np.array([[3.0], [0.0]]))
    found = mean_within(batches)
    # mean (4 * 1 + 6) / 5; variance 4 * 3 / (3 + 0): a single value has no spread to add
    assert found.mean == [2.0]
    assert found.variance == [4.0]


def test_distances_are_in_units_of_the_population():
    population = Moments(np.array([1.0, 0.0, 7.0]), np.array([4.0, 0.25, 0.0]))
    moving = Moments(np.array([2.0, -0.5, 9.0]), np.array([1.0, 0.5, 1.0]))
    # 1 of 2 standard deviations and 0.5 of 0.5; the third channel never varies and has no unit
    assert mean_error(moving, population) == pytest.approx((0.5 + 1.0) / 2)
    assert variance_ratio(moving, population) == pytest.approx((0.25 + 2.0) / 2)


def test_distances_without_a_channel_that_varies_are_nan():
    still = Moments(np.zeros(2), np.zeros(2))
    assert np.isnan(mean_error(still, still))
    assert np.isnan(variance_ratio(still, still))


def test_input_moments_counts_positions():
    dataset = images()
    model = small_model(dataset, network="cnn")
    found = model.input_moments(dataset.x_train, np.arange(25), batch_size=10, batch_mode=True)
    # 4 x 4 positions an example after the first convolution, 2 x 2 after the second, which halves
    np.testing.assert_array_equal(found["bn1"].counts, [160, 160, 80])
    np.testing.assert_array_equal(found["bn2"].counts, [40, 40, 20])
