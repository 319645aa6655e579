"""scikit-learn's digits: scale and split."""

import numpy as np
from sklearn.datasets import load_digits

from bnexp.dataset import digits


def test_pixels_are_sixteenths():
    dataset = digits.load()
    whole = np.concatenate([dataset.x_train, dataset.x_test]).reshape(-1, 64)
    original = load_digits().data
    # sixteenths are exact in float32, so sorting makes the split whole again
    np.testing.assert_array_equal(np.sort(whole, axis=0) * 16, np.sort(original, axis=0))


def test_split_is_stratified_and_a_fifth():
    dataset = digits.load()
    assert dataset.x_train.shape == (1442, 8, 8, 1)
    assert dataset.x_test.shape == (355, 8, 8, 1)
    assert dataset.num_classes == 10
    tested = np.bincount(dataset.y_test, minlength=10)
    everything = tested + np.bincount(dataset.y_train, minlength=10)
    np.testing.assert_array_equal(tested, everything // 5)


def test_split_by_hand():
    """The first test example of class 7 is its fifth in scikit-learn's order."""
    data, labels = load_digits(return_X_y=True)
    dataset = digits.load()
    fifth = data[np.flatnonzero(labels == 7)[4]]
    np.testing.assert_array_equal(dataset.x_test[dataset.y_test == 7][0].reshape(-1) * 16, fifth)
