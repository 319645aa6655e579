"""Keras's loaders, replaced: nothing here goes to the network."""

import numpy as np
import pytest

from bnexp.dataset.download import keras_dataset
from bnexp.errors import UserError

# as Keras gives them: uint8 images, and for CIFAR-10 labels [n, 1]
SHAPES = {"mnist": ([28, 28], [4]), "fashion_mnist": ([28, 28], [4]), "cifar10": ([32, 32, 3], [4, 1])}


@pytest.fixture(params=sorted(SHAPES))
def name(request):
    """A dataset that Keras downloads."""
    return request.param


def replace_loader(monkeypatch, name, loader):
    """Puts `loader` in the place of Keras's."""
    import tensorflow as tf

    monkeypatch.setattr(getattr(tf.keras.datasets, name), "load_data", loader)


def test_arrays_of_keras(name, monkeypatch):
    shape, label_shape = SHAPES[name]
    x = np.full([4, *shape], 255, np.uint8)
    y = np.array([9, 0, 3, 9], np.uint8).reshape(label_shape)
    replace_loader(monkeypatch, name, lambda: ((x, y), (x[:2], y[:2])))
    dataset = keras_dataset(name, num_classes=10)
    image = shape if len(shape) == 3 else [*shape, 1]
    np.testing.assert_array_equal(dataset.x_train, np.ones([4, *image], np.float32), strict=True)
    np.testing.assert_array_equal(dataset.x_test, np.ones([2, *image], np.float32), strict=True)
    np.testing.assert_array_equal(dataset.y_train, np.array([9, 0, 3, 9], np.int32), strict=True)
    assert dataset.num_classes == 10


def test_no_network(name, monkeypatch):
    def fail():
        # the class and the wording of keras.utils.get_file
        raise Exception("URL fetch failure on https://example.org/a.npz: None -- [Errno -2]\nName or service not known")

    replace_loader(monkeypatch, name, fail)
    with pytest.raises(UserError) as caught:
        keras_dataset(name, num_classes=10)
    assert str(caught.value) == (
        f"dataset={name}: Keras could not download it (Exception: URL fetch failure on https://example.org/a.npz: None "
        "-- [Errno -2] Name or service not known). Give a local copy with dataset.path=FILE.npz."
    )
