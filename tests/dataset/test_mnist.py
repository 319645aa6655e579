"""MNIST: from a file, or from Keras."""

import numpy as np

from bnexp.dataset import mnist


def test_from_a_file(tmp_path):
    x = np.full([8, 28, 28], 51, np.uint8)  # Keras's own shape and dtype
    y = np.arange(8)
    np.savez(tmp_path / "part.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    dataset = mnist.load(path=str(tmp_path / "part.npz"))
    np.testing.assert_array_equal(dataset.x_train, np.full([8, *[28, 28, 1]], 0.2, np.float32), strict=True)
    np.testing.assert_array_equal(dataset.y_train, np.arange(8, dtype=np.int32), strict=True)
    # ten, though the file holds eight: the network is that of the whole dataset
    assert dataset.num_classes == 10


def test_without_a_path_it_asks_keras(monkeypatch):
    monkeypatch.setattr(mnist, "keras_dataset", lambda name, num_classes: (name, num_classes))
    assert mnist.load() == ("mnist", 10)


def test_binary_pixels_are_0_or_1(tmp_path):
    x = np.array([0, 127, 128, 255], np.uint8).reshape(4, 1, 1)
    np.savez(tmp_path / "part.npz", x_train=x, y_train=np.arange(4), x_test=x[::-1], y_test=np.arange(4))
    dataset = mnist.load(path=str(tmp_path / "part.npz"), binary=True)
    np.testing.assert_array_equal(dataset.x_train.ravel(), np.array([0, 0, 1, 1], np.float32), strict=True)
    np.testing.assert_array_equal(dataset.x_test.ravel(), np.array([1, 1, 0, 0], np.float32), strict=True)
    assert not dataset.x_train.flags.writeable
