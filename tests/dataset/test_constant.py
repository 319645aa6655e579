"""Identical rows, as in the question about running averages during training."""

import numpy as np
import pytest

from bnexp.dataset import constant
from bnexp.errors import UserError


def test_every_value_is_five():
    dataset = constant.load()
    np.testing.assert_array_equal(dataset.x_train, np.full([400, 10], 5, np.float32), strict=True)
    np.testing.assert_array_equal(dataset.x_test, np.full([100, 10], 5, np.float32), strict=True)


def test_labels_are_balanced_so_that_accuracy_is_chance():
    dataset = constant.load()
    np.testing.assert_array_equal(np.bincount(dataset.y_train), [200, 200])
    np.testing.assert_array_equal(np.bincount(dataset.y_test), [50, 50])


def test_arguments():
    dataset = constant.load(value=-2, features=3, train_examples=4, test_examples=2)
    np.testing.assert_array_equal(dataset.x_train, np.full([4, 3], -2, np.float32), strict=True)
    np.testing.assert_array_equal(dataset.y_test, [0, 1])


@pytest.mark.parametrize(("argument", "least"), [("features", 1), ("train_examples", 2), ("test_examples", 1)])
def test_counts_out_of_range(argument, least):
    with pytest.raises(UserError) as caught:
        constant.load(**{argument: least - 1})
    name = f"dataset.{argument}"
    assert str(caught.value) == f"{name}={least - 1}: must be a whole number, {least} or more. Give another {name}."


def test_value_that_is_no_number():
    with pytest.raises(UserError) as caught:
        constant.load(value=float("inf"))
    assert str(caught.value) == (
        "dataset.value=inf: x_train must be finite in float32, got NaN or infinity in 4000 of 4000 values, "
        "the first inf at [0, 0]. Replace them or drop their rows."
    )
    with pytest.raises(UserError) as caught:
        constant.load(value="five")
    assert str(caught.value) == (
        "dataset.value=five: x_train must hold numbers, got dtype <U4. Save it as uint8 or float32."
    )
