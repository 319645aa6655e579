"""scikit-learn's 1797 handwritten digits, 8 x 8 grey pixels: real, and nothing to download.

References:
  [1] Alpaydin and Kaynak. Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, 1998; its test
      part.
"""

import numpy as np

from bnexp.dataset import Dataset, make_dataset

BRIGHTEST = 16  # a pixel counts the set dots of a 4 x 4 block of the scan
EVERY = 5  # one example of five is tested


def load() -> Dataset:
    """Returns the digits, x [1442, 8, 8, 1] and [355, 8, 8, 1].

    The test set is each class's 5th, 10th, ... example: stratified, and the same for every seed and every release of
    scikit-learn, so that accuracies of different runs compare.
    """
    from sklearn.datasets import load_digits  # about a second; the other datasets must not wait for it

    pixels, labels = load_digits(return_X_y=True)  # [1797, 64] float64 in [0, 16], [1797] int64
    images = pixels.reshape(-1, 8, 8, 1) / BRIGHTEST
    tested = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        tested[np.flatnonzero(labels == label)[EVERY - 1 :: EVERY]] = True
    return make_dataset(
        images[~tested], labels[~tested], images[tested], labels[tested], source="dataset=digits", num_classes=10
    )
