"""Small networks on small data, for every test that needs a model; built exactly as a run builds its own."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import hydra
import numpy as np
import tensorflow as tf
from mlflow import MlflowClient
from omegaconf import DictConfig, open_dict

from bnexp.config.paths import CONF_DIR
from bnexp.config.settings import Settings, resolve
from bnexp.dataset import Dataset, make_dataset
from bnexp.engine.build import build_model
from bnexp.engine.model import Model, Steps
from bnexp.run import Result, run

# loads Keras, as building a model would, before tests/conftest.py freezes what is there
tf.keras.backend.clear_session()

# a few units and channels do all that a hundred do
SIZES = {"mlp": "network.widths=[6,5]", "cnn": "network.filters=[3,4]", "resnet": "network.filters=[3,4]"}

ONE_LAYER = {"mlp": "network.widths=[5]", "cnn": "network.filters=[3]"}


def names(group: str) -> list[str]:
    """Returns the names in a config group, by listing its folder."""
    return sorted(path.stem for path in Path(CONF_DIR, group).glob("*.yaml"))


def compose(*overrides: str) -> DictConfig:
    """Composes conf/config.yaml as the command line does."""
    with hydra.initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return hydra.compose("config", list(overrides))


@cache
def settings(*overrides: str) -> Settings:
    """Returns the settings of a composed config, checked no further than that it can be resolved; not to be changed."""
    return resolve(compose(*overrides), overrides)


def images(examples: int = 60, tests: int = 30, *, side: int = 4, channels: int = 2, seed: int = 7) -> Dataset:
    """Returns images whose channels lie off centre and spread unequally, of 3 classes that can be told apart."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(examples + tests) % 3)
    x = random.normal(size=[examples + tests, side, side, channels]) * [0.3, 2.0][:channels] + [5.0, -1.0][:channels]
    # each class has its own brightest column
    x[np.arange(len(x)), :, labels, 0] += 1.0
    return make_dataset(x[:examples], labels[:examples], x[examples:], labels[examples:], source="small", num_classes=3)


def save_images(folder: Path) -> Path:
    """Writes `images()` as an .npz file for dataset=npz."""
    dataset = images()
    path = folder / "images.npz"
    np.savez(path, **{name: getattr(dataset, name) for name in ("x_train", "y_train", "x_test", "y_test")})
    return path


def small_model(dataset: Dataset, *overrides: str, network: str = "mlp") -> Model:
    """Builds a small network; `overrides` are those of the command line."""
    return build_model(settings(f"network={network}", SIZES[network], "batch_size=10", *overrides), dataset, "/CPU:0")


def rows(dataset: Dataset, steps: int, *, batch_size: int = 10, seed: int = 0) -> np.ndarray:
    """Returns the examples of each of `steps` batches, [steps, batch_size] int32."""
    return np.random.default_rng(seed).integers(0, len(dataset.x_train), [steps, batch_size], np.int32)


@cache
def trained(variant: str, network: str, engine: str) -> tuple[Dataset, Steps]:
    """Trains a one-layer network for six steps; kept, since several tests look at the same steps."""
    dataset = images()
    # sgd: adam divides by the gradient's own size, so that a gradient of rounding errors alone would move a weight as
    # far as any other
    model = small_model(
        dataset, f"variant={variant}", f"engine={engine}", "optimizer=sgd", ONE_LAYER[network], network=network
    )
    steps = model.train(dataset.x_train, dataset.y_train, rows(dataset, 6), calls=6)
    return dataset, steps


@cache
def _empty_store() -> bytes:
    """Returns an SQLite store with MLflow's tables and nothing in them, made once: MLflow takes seconds for it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "mlflow.db")
        MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
        return path.read_bytes()


def store(folder: Path) -> str:
    """Returns the URI of a store of its own under `folder`/runs.

    An absolute one: MLflow keeps a connection for each URI, and a relative one would lead to another test's folder.
    """
    path = folder / "runs" / "mlflow.db"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_empty_store())
    return f"sqlite:///{path}"


def run_here(folder: Path, *overrides: str, sweep: bool = False, uri: str = "") -> Result:
    """Runs one experiment with its `runs/` under `folder`, the current directory, as the command line does."""
    overrides = (*overrides, f"tracking.uri={uri or store(folder)}")
    with hydra.initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = hydra.compose("config", list(overrides), return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return run(config, choices=choices, overrides=overrides, sweep=sweep)


def client(folder: Path) -> MlflowClient:
    """Returns a client of the store under `folder`."""
    return MlflowClient(tracking_uri=store(folder))


def artifacts(folder: Path, run_id: str) -> Path:
    """Returns where the artifacts of a run lie."""
    return folder / "runs" / "artifacts" / run_id / "artifacts"
