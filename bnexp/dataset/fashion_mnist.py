"""Fashion-MNIST: 60000 + 10000 pictures of clothes, 28 x 28 grey pixels.

Shaped like MNIST and harder, so that two variants still differ where MNIST puts both near the ceiling.

References:
  [1] Xiao, Rasul and Vollgraf. Fashion-MNIST. 2017. https://arxiv.org/abs/1708.07747
"""

from bnexp.dataset import Dataset
from bnexp.dataset.archive import read_dataset
from bnexp.dataset.download import keras_dataset

# a fixed count, so that a local copy of a few examples gives the same network as the whole
NUM_CLASSES = 10


def load(path: str | None = None) -> Dataset:
    """Returns Fashion-MNIST, x [60000, 28, 28, 1] and [10000, 28, 28, 1].

    Args:
        path: an .npz file with `x_train y_train x_test y_test` that is read instead; None has Keras download the data,
            once, into `~/.keras/datasets`.

    Raises:
        UserError: Keras could not download the data, or the file cannot be used.
    """
    if path is not None:
        return read_dataset(path, num_classes=NUM_CLASSES)
    return keras_dataset("fashion_mnist", num_classes=NUM_CLASSES)
