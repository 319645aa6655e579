"""Keeps what a sweep's jobs in one process have in common: the dataset, the model, and findings about its graph."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from bnexp.config.make import make
from bnexp.config.settings import Settings
from bnexp.dataset import Dataset
from bnexp.engine import by_name
from bnexp.engine.build import build_model, check_batch_size
from bnexp.engine.model import Model
from bnexp.errors import UserError
from bnexp.graph.layer import is_variant

v1 = tf.compat.v1

Found = TypeVar("Found")

# the most models kept: successive jobs seldom alternate between more, and each takes the memory of a network
MOST_MODELS = 2


@dataclass(frozen=True)
class _Kept:
    model: Model
    initial: dict[str, np.ndarray]


# the models of the last jobs, by the settings that their graphs were built from; the last one used is last
_models: dict[str, _Kept] = {}

# the last dataset, by its node of the settings; never more than one
_datasets: dict[str, Dataset] = {}

# by model and name: findings that depend only on the model's graph
_findings: WeakKeyDictionary[Model, dict[str, Any]] = WeakKeyDictionary()


def load_dataset(settings: Settings) -> Dataset:
    """Loads the dataset of the settings.

    Args:
        settings: the settings of the run.

    Raises:
        UserError: `make` rejects the dataset, or a user's own function returns something else.

    Example:
        >>> load_dataset(settings).num_classes
        10
    """
    dataset = make(settings, "dataset")
    if not isinstance(dataset, Dataset):
        raise UserError(
            f"dataset._target_={settings.dataset['_target_']} returned {type(dataset).__name__}, and not a Dataset. "
            "End it with bnexp.dataset.make_dataset(x_train, y_train, x_test, y_test, source=...)."
        )
    return dataset


def cached_dataset(settings: Settings) -> Dataset:
    """Returns the dataset of the settings; the same object as for the last call if that had the same dataset.

    The arrays are then also copied to the device only once, since an engine keeps its copies as long as an array
    exists.

    Args:
        settings: the settings of the run.

    Raises:
        UserError: `make` rejects the dataset.

    Example:
        >>> cached_dataset(settings) is cached_dataset(settings)
        True
    """
    key = json.dumps(settings.dataset, sort_keys=True)
    if key not in _datasets:
        _datasets.clear()
        _datasets[key] = load_dataset(settings)
    return _datasets[key]


def cached_model(settings: Settings, dataset: Dataset, device: str) -> Model:
    """Returns a model equal to that of `build_model`, bit for bit, and reuses one of an earlier call if its graph fits.

    A graph that differs only in its seed is not built, and its loops are not compiled, again: the model gets new
    initial values. Models that were returned before must therefore not be used any more.

    Args:
        settings: the settings of the run.
        dataset: the dataset, for the shape of an example and the number of classes.
        device: TensorFlow's name of the device, `"/CPU:0"`.

    Raises:
        UserError: `build_model` rejects the settings.

    Example:
        >>> first = cached_model(settings, dataset, "/CPU:0")
        >>> cached_model(replace(settings, seed=1), dataset, "/CPU:0") is first
        True
    """
    parts: list[Any] = [settings.network, settings.variant, settings.optimizer, settings.engine, settings.updates]
    custom = not settings.network["_target_"].startswith("bnexp.") or not is_variant(make(settings, "variant"))
    if custom:
        # a custom layer may take them by other names, and draw by the seed; a custom network too
        parts += [settings.decay, settings.epsilon, settings.seed]
    key = json.dumps([parts, dataset.x_train.shape[1:], dataset.num_classes, device], sort_keys=True)
    kept = _models.pop(key, None)
    if kept is not None:
        check_batch_size(settings.batch_size, kept.model.graph, dataset)
        drawn = {} if custom else _initial_weights(settings, dataset)
        if drawn.keys() <= kept.initial.keys():
            kept.model.assign(kept.initial | drawn)
        else:
            kept = None  # the names of the network's variables depend on whether its layers are there
    if kept is None:
        # removed before the next is built, so that there are never more than MOST_MODELS
        for old in list(_models)[: len(_models) + 1 - MOST_MODELS]:
            del _models[old]
        model = build_model(settings, dataset, device)
        kept = _Kept(model, model.state())
    _models[key] = kept
    return kept.model


def found_once(model: Model, name: str, find: Callable[[], Found]) -> Found:
    """Returns the result of `find()`, which is called only once for each model and name.

    Args:
        model: the model that the result is about.
        name: names the result, `"audit"`.
        find: computes the result; it must depend only on the model's graph, not on the values of its variables.

    Example:
        >>> findings = found_once(model, "audit", partial(audit_built, graph_builder(settings, dataset)))
    """
    found = _findings.setdefault(model, {})
    if name not in found:
        found[name] = find()
    return found[name]  # type: ignore[no-any-return]


def _initial_weights(settings: Settings, dataset: Dataset) -> dict[str, np.ndarray]:
    """Returns the initial values of the network's own variables; those of the layers do not depend on the seed."""
    network = make(settings, "network")
    with tf.Graph().as_default():
        inputs = v1.placeholder(tf.float32, [None, *dataset.x_train.shape[1:]])
        network(inputs, batch_norm=lambda hidden, name: hidden, num_classes=dataset.num_classes, seed=settings.seed)
        variables, _ = by_name(v1.global_variables())
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            drawn: dict[str, np.ndarray] = session.run(variables)
    return drawn
