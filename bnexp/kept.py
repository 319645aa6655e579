"""What the jobs of a sweep have in common is made once in a process: the dataset, and the model with its loops."""

import json
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from omegaconf import DictConfig

from bnexp.build import build_model, check_batch_size, make
from bnexp.config import resolved
from bnexp.dataset import Dataset
from bnexp.engine import by_name
from bnexp.model import Model

v1 = tf.compat.v1

# jobs of a sweep alternate between two or so; each holds a network with its optimizer
MOST_MODELS = 2


@dataclass(frozen=True)
class _Kept:
    model: Model
    initial: dict[str, np.ndarray]


# the models of this process's last jobs, by what their graphs were built from
_models: dict[str, _Kept] = {}

# its last dataset, by its part of the config; there is never a second one in memory
_datasets: dict[str, Dataset] = {}


def kept_dataset(config: DictConfig) -> Dataset:
    """Returns what `make` would, or what it returned for the last call where that asked for the same dataset.

    Engines keep what they copied to the device for as long as an array lives: that too is done once.

    Raises:
        UserError: as `make`.
    """
    key = json.dumps(resolved(config)["dataset"], sort_keys=True)
    if key not in _datasets:
        _datasets.clear()
        _datasets[key] = make(config, "dataset")
    return _datasets[key]


def kept_model(config: DictConfig, dataset: Dataset, device: str) -> Model:
    """Returns what `build_model` would, bit for bit; a model of an earlier call where only its seed was another.

    The graph is built, and its loops are compiled, once. A model that was returned before is not to be used any more.

    Args:
        config: composed from conf/config.yaml.
        dataset: gives the shape of an example and the number of classes.
        device: TensorFlow's name of the device.

    Raises:
        UserError: as `build_model`.
    """
    nodes = resolved(config)
    parts = [nodes[key] for key in ("network", "variant", "optimizer", "engine")]
    key = json.dumps([parts, dataset.x_train.shape[1:], dataset.num_classes, device], sort_keys=True)
    kept = _models.pop(key, None)
    if kept is not None:
        check_batch_size(config.batch_size, kept.model.graph, dataset)
        drawn = _initial_weights(config, dataset)
        if drawn.keys() <= kept.initial.keys():
            kept.model.assign(kept.initial | drawn)
        else:
            kept = None  # a network that names its variables otherwise
    if kept is None:
        # before the next is built: there are never more than that
        for old in list(_models)[: len(_models) + 1 - MOST_MODELS]:
            del _models[old]
        model = build_model(config, dataset, device)
        kept = _Kept(model, model.state())
    _models[key] = kept  # the last one used is the last
    return kept.model


def _initial_weights(config: DictConfig, dataset: Dataset) -> dict[str, np.ndarray]:
    """Returns the network's own variables, by name, as the seed draws them; the layers' do not depend on it."""
    network = make(config, "network")
    with tf.Graph().as_default():
        inputs = v1.placeholder(tf.float32, [None, *dataset.x_train.shape[1:]])
        network(inputs, batch_norm=lambda hidden, name: hidden, num_classes=dataset.num_classes, seed=config.seed)
        variables, _ = by_name(v1.global_variables())
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            drawn: dict[str, np.ndarray] = session.run(variables)
    return drawn
