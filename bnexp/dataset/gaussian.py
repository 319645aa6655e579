"""The two-dimensional normal distribution of the page with the printed iterations, with a mean far from 0.

    x ~ N([0, 100], identity)
    y = 1 where x[0] + (x[1] - 100) > 0, else 0

The page's program trains on 100 batches of 4 draws and then tests on 10 single draws, after `np.random.seed(1006)`.
With the defaults here, the training rows are those 100 batches in order and the first 10 test rows those 10 draws,
digit for digit in float32. The page has no labels; the ones here are nearly balanced, and a line through the mean
separates them.
"""

import numpy as np

from bnexp.dataset import Dataset, make_dataset, whole_number

MEAN = (0.0, 100.0)
STREAM = 1006  # the page's own np.random.seed, never the run's: the data are the same in every run


def load(train_examples: int = 400, test_examples: int = 1000) -> Dataset:
    """Returns draws, x [train_examples, 2] and [test_examples, 2], of a known population mean and variance.

    Args:
        train_examples: the number of training rows, 2 or more; 400 are the page's 100 batches of 4.
        test_examples: the number of test rows, 1 or more: the draws that follow the training rows. The page draws 10.

    Raises:
        UserError: a count is out of range.
    """
    train = whole_number(train_examples, "dataset.train_examples", at_least=2)
    test = whole_number(test_examples, "dataset.test_examples", at_least=1)
    # NumPy's legacy generator, with which scipy's `rvs` draws in the page's program; its numbers are the same whether
    # they are drawn four rows at a time or all at once
    x = np.random.RandomState(STREAM).multivariate_normal(MEAN, np.eye(2), size=train + test)  # [rows, 2] float64
    labels = ((x - MEAN).sum(axis=1) > 0).astype(np.int32)
    return make_dataset(x[:train], labels[:train], x[train:], labels[train:], source="dataset=gaussian", num_classes=2)
