"""MNIST: 60000 + 10000 handwritten digits, 28 x 28 grey pixels.

The dataset of the paper's own small experiment (section 4.1 of Ioffe and Szegedy, 2015).

References:
  [1] LeCun, Bottou, Bengio and Haffner. Gradient-Based Learning Applied to Document Recognition. Proc. IEEE, 1998.
"""

import numpy as np

from bnexp.dataset import Dataset, make_dataset
from bnexp.dataset.archive import read_dataset
from bnexp.dataset.download import keras_dataset

# a fixed count, so that a local copy of a few examples gives the same network as the whole
NUM_CLASSES = 10


def load(path: str | None = None, binary: bool = False) -> Dataset:
    """Returns MNIST, x [60000, 28, 28, 1] and [10000, 28, 28, 1].

    Args:
        path: an .npz file with `x_train y_train x_test y_test` that is read instead; None has Keras download the data,
            once, into `~/.keras/datasets`.
        binary: True makes every pixel 1 where it is brighter than half and 0 elsewhere, as in the paper; False keeps
            the grey values.

    Raises:
        UserError: Keras could not download the data, or the file cannot be used.
    """
    if path is not None:
        grey = read_dataset(path, num_classes=NUM_CLASSES)
    else:
        grey = keras_dataset("mnist", num_classes=NUM_CLASSES)
    if not binary:
        return grey
    black_and_white = {part: (getattr(grey, part) > 0.5).astype(np.float32) for part in ("x_train", "x_test")}
    return make_dataset(
        black_and_white["x_train"], grey.y_train, black_and_white["x_test"], grey.y_test,
        source="dataset=mnist", num_classes=NUM_CLASSES,
    )  # fmt: skip
