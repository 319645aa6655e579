"""Keras's own downloads: not a dataset itself, but what `mnist`, `fashion_mnist` and `cifar10` are read with."""

from bnexp.dataset import Dataset, make_dataset
from bnexp.errors import UserError


def keras_dataset(name: str, *, num_classes: int) -> Dataset:
    """Returns `tf.keras.datasets.<name>`, downloaded once into `~/.keras/datasets` and read from there afterwards.

    Args:
        name: the module in `tf.keras.datasets`, and the dataset's name in error messages.
        num_classes: the number of classes, 2 or more.

    Raises:
        UserError: the data are not there and cannot be downloaded.
    """
    import tensorflow as tf  # seconds; the other datasets must not wait for it

    keras_loader = getattr(tf.keras.datasets, name).load_data
    # Keras's get_file raises a bare Exception for a failed request and ValueError for a wrong hash
    try:
        (x_train, y_train), (x_test, y_test) = keras_loader()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"dataset={name}: Keras could not download it ({type(error).__name__}: {reason}). "
            "Give a local copy with dataset.path=FILE.npz."
        ) from error
    return make_dataset(x_train, y_train, x_test, y_test, source=f"dataset={name}", num_classes=num_classes)
