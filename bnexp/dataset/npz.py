"""Any classification data of your own, from an .npz file."""

from bnexp.dataset import Dataset
from bnexp.dataset.archive import read_dataset


def load(path: str, num_classes: int | None = None) -> Dataset:
    """Returns the dataset in the file.

    Args:
        path: an .npz file with `x_train y_train x_test y_test`. Examples are rows of features, or images with or
            without a channel axis; uint8 is divided by 255, all else keeps its values. Labels are integers from 0.
        num_classes: the number of classes, 2 or more; None takes the largest label of `y_train` plus one.

    Raises:
        UserError: the file, or an array in it, cannot be used.
    """
    return read_dataset(path, num_classes=num_classes)
