"""What a dataset is: checked arrays, and the order in which training reads them.

A dataset is one file here with a function `load(...) -> Dataset`, and one YAML of the same name in `conf/dataset`.
Nothing registers a dataset and nothing here imports one: Hydra finds it by its `_target_`. `archive` and `download` are
not datasets; they read the arrays of those that are.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnexp.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """A training and a test set, read-only.

    Attributes:
        x_train: the training examples, [n, features] or [n, height, width, channels] float32; pixels are in [0, 1].
        y_train: their labels, [n] int32 in [0, num_classes).
        x_test: the test examples, [m, ...] float32, shaped and scaled like those of `x_train`.
        y_test: their labels, [m] int32 in [0, num_classes).
        num_classes: the number of classes, 2 or more; some of them may have no example.
    """

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int32]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int32]
    num_classes: int


def make_dataset(
    x_train: Any, y_train: Any, x_test: Any, y_test: Any, *, source: str, num_classes: Any = None
) -> Dataset:
    """Checks raw arrays and builds the dataset; every loader ends here.

    uint8 is taken for pixels and divided by 255; floats and other integers keep their values.

    Args:
        x_train: the training examples, numbers of any dtype: [n, features], [n, height, width, channels], or
            [n, height, width], which gets a channel axis.
        y_train: their labels, integers from 0: [n] or, as Keras has those of CIFAR-10, [n, 1].
        x_test: the test examples, shaped like those of `x_train`, and uint8 if and only if those are.
        y_test: their labels, [m] or [m, 1].
        source: where the arrays come from, with which every error message begins: `dataset.path=a.npz` or
            `dataset=mnist`.
        num_classes: the number of classes, 2 or more; None takes the largest label of `y_train` plus one. A label of
            `y_test` beyond that is then an error and not one more class, since no example could have taught it.

    Returns:
        The dataset; its arrays are read-only copies.

    Raises:
        UserError: an array breaks one of these rules; the message names the first rule that is broken.
    """
    train_pixels, test_pixels = np.asarray(x_train), np.asarray(x_test)
    # with one of them already scaled, dividing only the other would be a silent factor of 255 between train and test
    if (train_pixels.dtype == np.uint8) != (test_pixels.dtype == np.uint8):
        raise UserError(
            f"{source}: x_train and x_test must both be uint8 (divided by 255) or neither, got "
            f"{train_pixels.dtype} and {test_pixels.dtype}. Save both with one dtype and one scale."
        )
    inputs = {"train": _inputs(train_pixels, "x_train", source), "test": _inputs(test_pixels, "x_test", source)}
    labels = {"train": _labels(y_train, "y_train", source), "test": _labels(y_test, "y_test", source)}
    for part, x in inputs.items():
        if len(x) != len(labels[part]):
            raise UserError(
                f"{source}: x_{part} and y_{part} must have one label for each example, got {len(x)} examples and "
                f"{len(labels[part])} labels. Save the rows that belong together."
            )
    shapes = [list(x.shape[1:]) for x in inputs.values()]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"{source}: examples of x_train and x_test must have one shape, got {shapes[0]} and {shapes[1]}. "
            "Save both the same way."
        )
    classes = _num_classes(labels["train"], num_classes, source)
    y = {part: _in_range(y, f"y_{part}", classes, num_classes is None, source) for part, y in labels.items()}
    arrays = (inputs["train"], y["train"], inputs["test"], y["test"])
    for array in arrays:
        # jobs of a sweep share one process: writing into a dataset must fail at once, not falsify the next job
        array.flags.writeable = False
    return Dataset(*arrays, num_classes=classes)


def whole_number(value: Any, name: str, *, at_least: int) -> int:
    """Returns `value` as an int.

    Args:
        value: what the user gave, of any type.
        name: the config key that the error message names.
        at_least: the smallest value that is accepted.

    Raises:
        UserError: `value` is not an integer, or is smaller than `at_least`.
    """
    # bool is an int to Python, but `batch_size=true` is a slip of the user's
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < at_least:
        raise UserError(f"{name}={value}: must be a whole number, {at_least} or more. Give another {name}.")
    return int(value)


def batch_indices(num_examples: int, batch_size: int, *, start: int, stop: int, seed: int) -> NDArray[np.int32]:
    """Returns the rows that the training steps `start` to `stop - 1` read.

        order = permutation(epoch 0), permutation(epoch 1), ...             # end to end
        batch[step] = order[step * batch_size : (step + 1) * batch_size]

    Every example comes once an epoch and none is dropped; a batch may straddle two epochs, and then may hold an
    example twice. An epoch's permutation depends on `seed` and the epoch's number alone, so steps taken in any chunks,
    or resumed in the middle, read the same rows.

    Args:
        num_examples: the number of rows in the training set.
        batch_size: the number of rows that one step reads, 1 to `num_examples`.
        start: the first step, counted from 0.
        stop: the step after the last one; equal to `start` it gives no step at all.
        seed: 0 or more; it decides the order of the rows, and another seed gives another order.

    Returns:
        The indices of each step's rows, [stop - start, batch_size] int32 in [0, num_examples).

    Raises:
        UserError: `batch_size` or `seed` is out of range.
        ValueError: `start` and `stop` are not 0 <= start <= stop, which is the caller's mistake and not the user's.
    """
    batch_size = whole_number(batch_size, "batch_size", at_least=1)
    seed = whole_number(seed, "seed", at_least=0)
    if batch_size > num_examples:
        raise UserError(
            f"batch_size={batch_size}: must be no more than the {num_examples} training examples of this dataset. "
            f"Give batch_size={num_examples} or less."
        )
    if not 0 <= start <= stop:
        raise ValueError(f"steps must satisfy 0 <= start <= stop, got start={start}, stop={stop}")
    if start == stop:
        return np.empty([0, batch_size], np.int32)
    first, last = start * batch_size, stop * batch_size  # positions in the endless order
    first_epoch, end_epoch = first // num_examples, -(-last // num_examples)
    order = np.concatenate([_permutation(num_examples, seed, epoch) for epoch in range(first_epoch, end_epoch)])
    offset = first_epoch * num_examples
    return order[first - offset : last - offset].reshape(stop - start, batch_size)


# without the cache, short chunks of a long epoch would draw it anew each time; two, since a batch may straddle two
@lru_cache(maxsize=2)
def _permutation(num_examples: int, seed: int, epoch: int) -> NDArray[np.int32]:
    return np.random.default_rng([seed, epoch]).permutation(num_examples).astype(np.int32)


def _inputs(array: NDArray[Any], name: str, source: str) -> NDArray[np.float32]:
    if array.dtype.kind not in "biuf":
        raise UserError(f"{source}: {name} must hold numbers, got dtype {array.dtype}. Save it as uint8 or float32.")
    if array.ndim not in (2, 3, 4):
        raise UserError(
            f"{source}: {name} must be [n, features], [n, height, width] or [n, height, width, channels], got shape "
            f"{list(array.shape)}. Reshape it."
        )
    if array.size == 0:
        raise UserError(
            f"{source}: {name} must hold at least one example of at least one feature, got shape {list(array.shape)}. "
            "Check how it was cut."
        )
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which the next check reports
        scale = 255 if array.dtype == np.uint8 else 1
        inputs: NDArray[np.float32] = np.divide(array, scale, dtype=np.float32, casting="unsafe")
    bad = np.argwhere(~np.isfinite(inputs))
    if len(bad):
        raise UserError(
            f"{source}: {name} must be finite in float32, got NaN or infinity in {len(bad)} of {inputs.size} values, "
            f"the first {array[tuple(bad[0])]} at {bad[0].tolist()}. Replace them or drop their rows."
        )
    return inputs if inputs.ndim != 3 else inputs[..., np.newaxis]


def _labels(y: Any, name: str, source: str) -> NDArray[Any]:
    labels = np.asarray(y)
    if labels.dtype.kind not in "iu":
        raise UserError(f"{source}: {name} must hold integers, got dtype {labels.dtype}. Save {name}.astype('int32').")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise UserError(
            f"{source}: {name} must be [n] or [n, 1], got shape {list(labels.shape)}. "
            f"For one-hot rows, save {name}.argmax(axis=1)."
        )
    return labels


def _num_classes(y_train: NDArray[Any], num_classes: Any, source: str) -> int:
    if num_classes is not None:
        return whole_number(num_classes, "dataset.num_classes", at_least=2)
    if y_train.min() == y_train.max():
        raise UserError(
            f"{source}: y_train must hold at least 2 classes, got the label {y_train[0]} alone. "
            "Add examples of another class."
        )
    return int(y_train.max()) + 1


def _in_range(labels: NDArray[Any], name: str, classes: int, inferred: bool, source: str) -> NDArray[np.int32]:
    # int32 bounds an inferred count; without it a label of 2**40 would wrap around
    limit = min(classes, np.iinfo(np.int32).max)
    bad = np.flatnonzero((labels < 0) | (labels >= limit))
    if len(bad):
        cure = ", and give dataset.num_classes where y_train lacks the last of them" if inferred else ""
        raise UserError(
            f"{source}: {name} must be in [0, {limit}), got others in {len(bad)} of {len(labels)} rows, the first "
            f"{labels[bad[0]]} at [{bad[0]}]. Number the classes from 0{cure}."
        )
    return labels.astype(np.int32)
