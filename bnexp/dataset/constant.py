"""Every row the same constant, so that batch normalisation has nothing to normalise.

It is the experiment of "Does batch normalization in tensorflow use running averages during training?". A layer in
training mode must put out beta whatever the constant; one that puts out anything else is using its moving statistics.
The labels alternate, and no input tells them apart: accuracy is chance, 1/2.
"""

import numpy as np

from bnexp.dataset import Dataset, make_dataset, whole_number

NUM_CLASSES = 2


def load(value: float = 5.0, features: int = 10, train_examples: int = 400, test_examples: int = 100) -> Dataset:
    """Returns x [train_examples, features] and [test_examples, features], all `value`, and labels 0, 1, 0, 1, ...

    Args:
        value: the number that every feature of every row has, finite in float32.
        features: the number of features in a row, 1 or more.
        train_examples: the number of training rows, 2 or more; an even number balances the labels exactly.
        test_examples: the number of test rows, 1 or more; an even number makes chance exactly 1/2.

    Raises:
        UserError: a count is out of range, or `value` is not a finite float32.
    """
    width = whole_number(features, "dataset.features", at_least=1)
    train = whole_number(train_examples, "dataset.train_examples", at_least=2)
    test = whole_number(test_examples, "dataset.test_examples", at_least=1)
    return make_dataset(
        np.full([train, width], value),
        np.arange(train) % NUM_CLASSES,
        np.full([test, width], value),
        np.arange(test) % NUM_CLASSES,
        source=f"dataset.value={value}",
        num_classes=NUM_CLASSES,
    )
