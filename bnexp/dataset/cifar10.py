"""CIFAR-10: 50000 + 10000 colour photographs, 32 x 32 pixels.

Keras returns its labels as [n, 1]; here they are [n], as those of every dataset.

References:
  [1] Krizhevsky. Learning Multiple Layers of Features from Tiny Images. 2009.
"""

from bnexp.dataset import Dataset
from bnexp.dataset.archive import read_dataset
from bnexp.dataset.download import keras_dataset

# a fixed count, so that a local copy of a few examples gives the same network as the whole
NUM_CLASSES = 10


def load(path: str | None = None) -> Dataset:
    """Returns CIFAR-10, x [50000, 32, 32, 3] and [10000, 32, 32, 3].

    Args:
        path: an .npz file with `x_train y_train x_test y_test` that is read instead; None has Keras download the data,
            once, into `~/.keras/datasets`.

    Raises:
        UserError: Keras could not download the data, or the file cannot be used.
    """
    if path is not None:
        return read_dataset(path, num_classes=NUM_CLASSES)
    return keras_dataset("cifar10", num_classes=NUM_CLASSES)
