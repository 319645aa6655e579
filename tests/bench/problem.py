"""The work that everyone does: one network, its initial weights, the data and the order in which it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bnexp.dataset import batch_indices

BATCH_SIZE = {"mlp": 60, "cnn": 64}
WIDTHS, FILTERS = (100, 100, 100), (16, 32, 32)
CLASSES = 10


@dataclass(frozen=True)
class Data:
    """Images: x [n, 28, 28, 1] float32 in [0, 1], y [n] int32 in [0, 10)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@dataclass(frozen=True)
class Problem:
    """One network on one data set; every contender gets the same one.

    Attributes:
        network: mlp, 784-100-100-100-10 with sigmoids, or cnn, 3x3 16 / 32 stride 2 / 32 stride 2, ReLU, global average.
        data: images.
        order: [steps, batch] int32, the examples of each training step.
        state: bnexp's own variables by name, kernels as TensorFlow lays them out; {} until bnexp has told them.
        learning_rate: of plain gradient descent.
        decay: of the moving statistics.
        epsilon: added to the variance.
        seed: of the order of examples, and of bnexp's weights.
    """

    network: str
    data: Data
    order: np.ndarray
    state: Mapping[str, np.ndarray]
    learning_rate: float = 0.1
    decay: float = 0.9
    epsilon: float = 1e-3
    seed: int = 0

    @property
    def batch_size(self) -> int:
        return self.order.shape[1]

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(f"bn{number}" for number in range(1, 4))

    def kernel(self, number: int) -> str:
        return f"{'dense' if self.network == 'mlp' else 'conv'}{number}/kernel"

    def starting_from(self, state: Mapping[str, np.ndarray]) -> "Problem":
        return replace(self, state=state)


def make_problem(network: str, data: Data, *, steps: int, batch_size: int | None = None) -> Problem:
    size = batch_size or BATCH_SIZE[network]
    return Problem(network, data, batch_indices(len(data.x_train), size, start=0, stop=steps, seed=0), {})


def load_data(path: Path | None, *, examples: int = 60_000, tests: int = 10_000) -> tuple[Data, str]:
    """Returns the images of an .npz like MNIST's, or drawn ones of the same shape, and what to call them."""
    if path is None:
        return synthetic(examples, tests), "synthetic images of MNIST's shape"
    with np.load(path) as arrays:
        pixels = {name: arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    return Data(*(_images(a) if a.ndim == 3 else a.astype(np.int32) for a in pixels.values())), path.name


def synthetic(examples: int, tests: int, *, side: int = 28, seed: int = 0) -> Data:
    """Draws images of ten classes: a smooth pattern of its own each, dimmed and with noise, mostly black as digits are."""
    random = np.random.default_rng(seed)
    coarse = random.normal(size=[CLASSES, 7, 7]).repeat(side // 7, axis=1).repeat(side // 7, axis=2)
    labels = random.integers(0, CLASSES, examples + tests, np.int32)
    strength = random.uniform(0.5, 1.0, [examples + tests, 1, 1]).astype(np.float32)
    noise = random.normal(0, 0.3, [examples + tests, side, side]).astype(np.float32)
    x = np.clip(coarse.astype(np.float32)[labels] * strength + noise - 0.5, 0, 1)[..., None]
    return Data(x[:examples], labels[:examples], x[examples:], labels[examples:])


def _images(pixels: np.ndarray) -> np.ndarray:
    return (pixels.astype(np.float32) / 255)[..., None]
