"""Your own data from a file; the reader's errors are in test_archive.py."""

import numpy as np

from bnexp.dataset import npz


def test_features_and_classes(tmp_path):
    x = np.array([[1.5, -2.0], [300.0, 4.0]])
    np.savez(tmp_path / "own.npz", x_train=x, y_train=[0, 3], x_test=x[:1] + 1, y_test=[2])
    dataset = npz.load(path=str(tmp_path / "own.npz"))
    np.testing.assert_array_equal(dataset.x_train, x.astype(np.float32), strict=True)
    assert dataset.num_classes == 4
    assert npz.load(path=str(tmp_path / "own.npz"), num_classes=6).num_classes == 6
