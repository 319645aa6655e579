"""The data of the page with the printed iterations, against its numbers and those that follow from its program."""

import numpy as np
import pytest

from bnexp.dataset import gaussian
from bnexp.errors import UserError

# half a spacing of float32 near 100 is 4e-6, half a unit of the last printed digit 5e-7; both for each number compared
ROUNDING = 5e-6


def moving_average(batches, ddof, mean, variance):
    """The plain EMA of the page's program: decay 0.9, no debiasing; `batches` [steps, rows, 2] float64."""
    for batch in batches:
        # a batch of one row has variance 0 by either convention, as TensorFlow's kernels have it
        of_batch = batch.var(axis=0, ddof=ddof) if len(batch) > 1 else np.zeros(2)
        mean, variance = 0.9 * mean + 0.1 * batch.mean(axis=0), 0.9 * variance + 0.1 * of_batch
    return mean, variance


def test_shapes():
    dataset = gaussian.load()
    assert dataset.x_train.shape == (400, 2)
    assert dataset.x_test.shape == (1000, 2)
    assert dataset.num_classes == 2


def test_test_draws_of_the_page():
    np.testing.assert_allclose(
        gaussian.load().x_test[:3],
        [[-1.781544, 100.941088], [-1.245444, 101.126185], [-0.107151, 99.349385]],
        rtol=0,
        atol=ROUNDING,
    )


@pytest.mark.parametrize(
    ("ddof", "trained", "tested"),
    [
        (0, [0.908382, 0.654374], [0.316733, 0.228166]),  # what the page prints
        (1, [1.211167, 0.872490], [0.422308, 0.304218]),  # what TensorFlow's fused kernel makes of the same data
    ],
)
def test_moving_statistics_of_the_page(ddof, trained, tested):
    dataset = gaussian.load()
    batches = dataset.x_train.astype(np.float64).reshape(100, 4, 2)
    mean, variance = moving_average(batches, ddof, np.zeros(2), np.ones(2))
    # a rounding of r in x moves a variance of about 1 by no more than 2 r |x - mean| < 8 r, and the average keeps that
    np.testing.assert_allclose(mean, [-0.024102, 99.817641], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(variance, trained, rtol=0, atol=8 * ROUNDING)
    # the leak that the page shows: ten test calls of one row each move the statistics
    singles = dataset.x_test[:10].astype(np.float64).reshape(10, 1, 2)
    mean, variance = moving_average(singles, ddof, mean, variance)
    np.testing.assert_allclose(mean, [0.104363, 100.152632], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(variance, tested, rtol=0, atol=8 * ROUNDING)


def test_population():
    x = np.concatenate([gaussian.load().x_train, gaussian.load().x_test]).astype(np.float64)
    # of 1400 draws, four standard errors: of a mean 4 / sqrt(n), of a variance 4 * sqrt(2 / n)
    np.testing.assert_allclose(x.mean(axis=0), [0, 100], rtol=0, atol=4 / np.sqrt(len(x)))
    np.testing.assert_allclose(np.cov(x.T), np.eye(2), rtol=0, atol=4 * np.sqrt(2 / len(x)))


def test_labels_tell_the_sides_of_a_line():
    dataset = gaussian.load()
    for x, y in [(dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test)]:
        np.testing.assert_array_equal(y, x[:, 0] + (x[:, 1] - np.float32(100)) > 0)
        assert 0.4 < y.mean() < 0.6


def test_more_rows_continue_the_stream():
    few, many = gaussian.load(), gaussian.load(train_examples=600, test_examples=100)
    np.testing.assert_array_equal(many.x_train[:400], few.x_train)
    np.testing.assert_array_equal(many.x_train[400:], few.x_test[:200])


@pytest.mark.parametrize(("argument", "value", "least"), [("train_examples", 1, 2), ("test_examples", "many", 1)])
def test_mistakes(argument, value, least):
    with pytest.raises(UserError) as caught:
        gaussian.load(**{argument: value})
    name = f"dataset.{argument}"
    assert str(caught.value) == f"{name}={value}: must be a whole number, {least} or more. Give another {name}."
