"""The checks that every array passes, whoever loaded it."""

import numpy as np
import pytest

from bnexp.dataset import make_dataset
from bnexp.errors import UserError

nan, inf = float("nan"), float("inf")
RENUMBER = "Number the classes from 0, and give dataset.num_classes where y_train lacks the last of them."


def arrays(**changes):
    """Four good arrays of 3 and 2 rows, changed as the test wants; a list becomes an array."""
    good = {
        "x_train": np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], np.float32),
        "y_train": [0, 1, 2],
        "x_test": np.array([[6.0, 7.0], [8.0, 9.0]], np.float32),
        "y_test": [2, 0],
    }
    return {name: np.asarray(value) for name, value in {**good, **changes}.items()}


def images(dtype, *shape):
    """Rising values 0, 1, 2, ... of the shape."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def test_good_arrays_pass_unchanged():
    raw = arrays()
    dataset = make_dataset(**raw, source="dataset=x")
    for name, array in raw.items():
        np.testing.assert_array_equal(getattr(dataset, name), array)
    assert dataset.num_classes == 3


def test_arrays_are_copies():
    raw = arrays(y_train=np.array([0, 1, 2], np.int32))
    dataset = make_dataset(**raw, source="dataset=x")
    for name, array in raw.items():
        assert not np.shares_memory(getattr(dataset, name), array)
        assert array.flags.writeable


def test_uint8_is_divided_by_255():
    pixels = np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)
    dataset = make_dataset(**arrays(x_train=pixels, x_test=pixels[:2]), source="dataset=x")
    # 51 / 255 is 1/5; the nearest float32, since the division is made in float32 and correctly rounded
    np.testing.assert_array_equal(dataset.x_train.reshape(-1), np.array([0, 0.2, 1], np.float32))
    assert dataset.x_train.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "uint16"])
def test_other_numbers_keep_their_values(dtype):
    x = images(dtype, 3, 2) + np.asarray(200, dtype)
    dataset = make_dataset(**arrays(x_train=x, x_test=x[:2]), source="dataset=x")
    np.testing.assert_array_equal(dataset.x_train, np.array([[200, 201], [202, 203], [204, 205]], np.float32))


def test_images_get_a_channel_axis():
    dataset = make_dataset(**arrays(x_train=images("f4", 3, 4, 5), x_test=images("f4", 2, 4, 5)), source="dataset=x")
    assert dataset.x_train.shape == (3, 4, 5, 1)
    assert dataset.x_test.shape == (2, 4, 5, 1)
    np.testing.assert_array_equal(dataset.x_train[..., 0], images("f4", 3, 4, 5))


def test_labels_of_keras_cifar_lose_their_axis():
    dataset = make_dataset(**arrays(y_train=np.array([[2], [0], [1]], np.uint8)), source="dataset=x")
    np.testing.assert_array_equal(dataset.y_train, [2, 0, 1])
    assert dataset.y_train.dtype == np.int32


def test_num_classes_given_beats_the_labels():
    assert make_dataset(**arrays(), source="dataset=x", num_classes=10).num_classes == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # the inputs' type and shape
        ({"x_train": ["a", "b", "c"]}, "x_train must hold numbers, got dtype <U1. Save it as uint8 or float32."),
        ({"x_test": [[1j, 2j]] * 2}, "x_test must hold numbers, got dtype complex128. Save it as uint8 or float32."),
        (
            {"x_train": [1.0, 2.0, 3.0]},
            "x_train must be [n, features], [n, height, width] or [n, height, width, channels], got shape [3]. "
            "Reshape it.",
        ),
        (
            {"x_test": images("f4", 2, 1, 1, 1, 2)},
            "x_test must be [n, features], [n, height, width] or [n, height, width, channels], got shape "
            "[2, 1, 1, 1, 2]. Reshape it.",
        ),
        (
            {"x_test": images("f4", 0, 2), "y_test": np.zeros(0, int)},
            "x_test must hold at least one example of at least one feature, got shape [0, 2]. Check how it was cut.",
        ),
        (
            {"x_train": images("f4", 3, 0)},
            "x_train must hold at least one example of at least one feature, got shape [3, 0]. Check how it was cut.",
        ),
        (
            {"x_test": images("f4", 2, 3)},
            "examples of x_train and x_test must have one shape, got [2] and [3]. Save both the same way.",
        ),
        (
            {"x_train": images("f4", 3, 4, 4), "x_test": images("f4", 2, 4, 4, 3)},
            "examples of x_train and x_test must have one shape, got [4, 4, 1] and [4, 4, 3]. Save both the same way.",
        ),
        (
            {"x_train": images("u1", 3, 2)},
            "x_train and x_test must both be uint8 (divided by 255) or neither, got uint8 and float32. "
            "Save both with one dtype and one scale.",
        ),
        # the inputs' values
        (
            {"x_train": [[0, nan], [inf, 1], [nan, 2]]},
            "x_train must be finite in float32, got NaN or infinity in 3 of 6 values, the first nan at [0, 1]. "
            "Replace them or drop their rows.",
        ),
        (
            {"x_test": [[0.0, 1.0], [1e39, 2.0]]},
            "x_test must be finite in float32, got NaN or infinity in 1 of 4 values, the first 1e+39 at [1, 0]. "
            "Replace them or drop their rows.",
        ),
        # the labels
        ({"y_train": [0.0, 1.0, 2.0]}, "y_train must hold integers, got dtype float64. Save y_train.astype('int32')."),
        ({"y_test": [True, False]}, "y_test must hold integers, got dtype bool. Save y_test.astype('int32')."),
        (
            {"y_train": np.eye(3, dtype=int)},
            "y_train must be [n] or [n, 1], got shape [3, 3]. For one-hot rows, save y_train.argmax(axis=1).",
        ),
        (
            {"y_train": 4},
            "y_train must be [n] or [n, 1], got shape []. For one-hot rows, save y_train.argmax(axis=1).",
        ),
        (
            {"y_test": [1, 0, 1]},
            "x_test and y_test must have one label for each example, got 2 examples and 3 labels. "
            "Save the rows that belong together.",
        ),
        (
            {"y_train": [1, -1, 2]},
            "y_train must be in [0, 3), got others in 1 of 3 rows, the first -1 at [1]. " + RENUMBER,
        ),
        (
            {"y_test": [3, 4]},
            "y_test must be in [0, 3), got others in 2 of 2 rows, the first 3 at [0]. " + RENUMBER,
        ),
        (
            {"y_train": [0, 1, 2**40]},
            f"y_train must be in [0, 2147483647), got others in 1 of 3 rows, the first {2**40} at [2]. " + RENUMBER,
        ),
        (
            {"y_train": [1, 1, 1]},
            "y_train must hold at least 2 classes, got the label 1 alone. Add examples of another class.",
        ),
    ],
)
def test_mistakes(changes, message):
    with pytest.raises(UserError) as caught:
        make_dataset(**arrays(**changes), source="dataset.path=a.npz")
    assert str(caught.value) == f"dataset.path=a.npz: {message}"


def test_label_beyond_a_given_number_of_classes():
    with pytest.raises(UserError) as caught:
        make_dataset(**arrays(), source="dataset=x", num_classes=2)
    assert str(caught.value) == (
        "dataset=x: y_train must be in [0, 2), got others in 1 of 3 rows, the first 2 at [2]. "
        "Number the classes from 0."
    )


@pytest.mark.parametrize("value", [1, -3, 2.0, "ten"])
def test_number_of_classes_out_of_range(value):
    with pytest.raises(UserError) as caught:
        make_dataset(**arrays(), source="dataset=x", num_classes=value)
    assert str(caught.value) == (
        f"dataset.num_classes={value}: must be a whole number, 2 or more. Give another dataset.num_classes."
    )
