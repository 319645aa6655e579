"""What every dataset must keep; found by listing conf/dataset, so that a new one joins by itself."""

import subprocess
import sys
from pathlib import Path

import hydra
import numpy as np
import pytest
from omegaconf import OmegaConf

from bnexp.dataset import Dataset, batch_indices

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in ROOT.glob("conf/dataset/*.yaml"))
HELPERS = {"__init__", "archive", "download"}  # modules of bnexp/dataset that are no datasets


def load(name: str, folder: Path) -> Dataset:
    """Builds the dataset as a run does; one that reads a file gets a small one, so that nothing is downloaded."""
    config = OmegaConf.load(ROOT / "conf" / "dataset" / f"{name}.yaml")
    if "path" in set(config):  # `in config` is false for a mandatory value
        random = np.random.default_rng(0)
        arrays = {
            "x_train": random.integers(0, 256, [24, 6, 5, 3], np.uint8),
            "y_train": np.arange(24).reshape(24, 1) % 3,
            "x_test": random.integers(0, 256, [7, 6, 5, 3], np.uint8),
            "y_test": np.arange(7).reshape(7, 1) % 3,
        }
        np.savez(folder / "small.npz", **arrays)
        config.path = str(folder / "small.npz")
    return hydra.utils.instantiate(config)


@pytest.fixture(scope="module", params=NAMES)
def name(request) -> str:
    """The name of a dataset."""
    return request.param


@pytest.fixture(scope="module")
def dataset(name, tmp_path_factory) -> Dataset:
    """One load of it, shared by the tests that only read."""
    return load(name, tmp_path_factory.mktemp(name))


def test_shapes_and_dtypes(dataset):
    assert isinstance(dataset, Dataset)
    for x, y in [(dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test)]:
        assert type(x) is type(y) is np.ndarray
        assert x.dtype == np.float32
        assert y.dtype == np.int32
        assert x.ndim in (2, 4)  # rows of features, or images with a channel axis
        assert y.shape == (len(x),)
        assert len(x) > 0
    assert dataset.x_train.shape[1:] == dataset.x_test.shape[1:]


def test_scale(dataset):
    for x in (dataset.x_train, dataset.x_test):
        assert np.isfinite(x).all()
        if x.ndim == 4:
            assert x.min() >= 0
            # neither left at 0..255 nor divided twice
            assert 0.9 < x.max() <= 1


def test_labels(dataset):
    assert type(dataset.num_classes) is int
    assert dataset.num_classes >= 2
    for y in (dataset.y_train, dataset.y_test):
        assert y.min() >= 0
        assert y.max() < dataset.num_classes
        assert len(np.unique(y)) >= 2
    assert set(dataset.y_test) <= set(dataset.y_train)


def test_the_same_at_every_load(name, dataset, tmp_path):
    np.random.seed(5)  # a loader that drew from NumPy's global stream would come out different
    again = load(name, tmp_path)
    for field in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(again, field), getattr(dataset, field), strict=True)
    assert again.num_classes == dataset.num_classes


def test_no_test_example_is_trained_on(name, dataset):
    trained, tested = ({row.tobytes() for row in x} for x in (dataset.x_train, dataset.x_test))
    if name == "constant":
        assert trained == tested  # every row is the constant: that is what it is for
    else:
        assert not trained & tested


def test_read_only(dataset):
    for field in ("x_train", "y_train", "x_test", "y_test"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(dataset, field)[0] = 0


def test_an_epoch_holds_every_example_once(dataset):
    examples = len(dataset.x_train)
    batch_size = 7  # divides none of the sizes, so batches straddle epochs
    order = batch_indices(examples, batch_size, start=0, stop=-(-2 * examples // batch_size), seed=3).reshape(-1)
    epochs = order[: 2 * examples].reshape(2, examples)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(examples))
    assert (epochs[0] != epochs[1]).any()  # shuffled anew, not frozen by a cache


def test_the_order_depends_on_the_seed_alone(dataset):
    examples = len(dataset.x_train)

    def order(seed):
        return batch_indices(examples, 4, start=2, stop=9, seed=seed)

    first = order(3)
    np.random.seed(5)
    assert (order(4) != first).any()
    np.testing.assert_array_equal(order(3), first)


def test_every_file_has_its_yaml_and_its_load():
    modules = {path.stem for path in ROOT.glob("bnexp/dataset/*.py")} - HELPERS
    assert modules == set(NAMES)
    for name in NAMES:
        config = OmegaConf.load(ROOT / "conf" / "dataset" / f"{name}.yaml")
        assert config._target_ == f"bnexp.dataset.{name}.load"


def test_every_argument_stands_in_the_yaml_with_its_default():
    import importlib
    import inspect

    for name in NAMES:
        config = OmegaConf.load(ROOT / "conf" / "dataset" / f"{name}.yaml")
        parameters = inspect.signature(importlib.import_module(f"bnexp.dataset.{name}").load).parameters
        assert set(parameters) == set(config) - {"_target_"}
        for key, parameter in parameters.items():
            if OmegaConf.is_missing(config, key):
                assert parameter.default is inspect.Parameter.empty
            else:
                assert parameter.default == config[key]


def test_every_file_has_its_test():
    modules = {path.stem for path in ROOT.glob("bnexp/dataset/*.py")} - {"__init__"}
    assert modules <= {path.stem.removeprefix("test_") for path in ROOT.glob("tests/dataset/test_*.py")}


def test_imports_stay_light():
    """The import of all datasets must cost no TensorFlow and no scikit-learn: they are seconds of every start."""
    modules = ", ".join(f"bnexp.dataset.{name}" for name in [*NAMES, *sorted(HELPERS - {"__init__"})])
    program = f"import sys, {modules}; print(*sorted({{'tensorflow', 'keras', 'sklearn', 'scipy'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
