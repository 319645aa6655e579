"""From a config and a dataset to a model that is ready to train."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

import numpy as np
import tensorflow as tf
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from bnexp.config import resolved
from bnexp.dataset import Dataset
from bnexp.engine import by_name
from bnexp.engine.compiled import CompiledEngine
from bnexp.engine.session import SessionEngine
from bnexp.errors import UserError, first_line
from bnexp.graph import Graph, build_graph
from bnexp.layer import layer_maker
from bnexp.model import Model

v1 = tf.compat.v1

# jobs of a sweep alternate between two or so; each holds a network with its optimizer
MOST_KEPT = 2

ENGINES: Mapping[str, type[CompiledEngine | SessionEngine]] = {"compiled": CompiledEngine, "session": SessionEngine}


def make(config: DictConfig, group: str) -> Any:
    """Makes what the config group `group` describes: a dataset, or a function of a network, variant, final pass, ...

    Raises:
        UserError: there is no such target, it takes no such key, or it finds fault with a value.
    """
    node = _checked(config[group], group)
    try:
        return instantiate(node)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        if error.__cause__ is not None:
            raise error.__cause__  # noqa: B904  (a bug, in bnexp or in the user's own code: its own traceback tells most)
        raise UserError(f"{group}._target_={node['_target_']}: cannot be made ({first_line(error)}).") from error


def _checked(node: DictConfig, group: str) -> DictConfig:
    """Returns a node whose target can be called with its keys.

    `decay` and `epsilon` stand in every variant's file and are no one's wish: they are left out for a stranger's layer
    that has its own.

    Raises:
        UserError: the target cannot be found, or does not take a key.
    """
    target = node["_target_"]
    try:
        parameters = inspect.signature(resolve_name(target)).parameters
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{group}._target_={target}: cannot be loaded ({first_line(error)}). "
            "Write the full name of a class or function that can be imported."
        ) from error
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return node
    unknown = [key for key in map(str, node) if not key.startswith("_") and key not in parameters]
    for key in unknown:
        if group != "variant" or key not in ("decay", "epsilon"):
            takes = ", ".join(name for name in parameters if name in node) or "no key"
            raise UserError(f"{group}.{key}={node[key]}: {target} takes no {key}. Leave it out; it takes {takes}.")
    return OmegaConf.masked_copy(node, [key for key in map(str, node) if key not in unknown]) if unknown else node


def build_model(config: DictConfig, dataset: Dataset, device: str) -> Model:
    """Builds the network with the variant, once, in a graph of its own.

    Args:
        config: composed from conf/config.yaml.
        dataset: gives the shape of an example and the number of classes.
        device: TensorFlow's name of the device.

    Raises:
        UserError: network and dataset do not fit, or the batch is too small to have a variance.
    """
    check_sizes(config.network)
    # nothing of one run may reach the next: names, seeds, cached functions
    tf.keras.backend.clear_session()
    engine = ENGINES[config.engine](graph_builder(config, dataset), device=device)
    check_batch_size(config.batch_size, engine.graph, dataset)
    return Model(engine)


@dataclass(frozen=True)
class _Kept:
    model: Model
    initial: dict[str, np.ndarray]


# the models of this process's last jobs, by what their graphs were built from
_kept: dict[str, _Kept] = {}


def kept_model(config: DictConfig, dataset: Dataset, device: str) -> Model:
    """Returns what `build_model` would, bit for bit; a model of an earlier call where only its seed was another.

    For a sweep's jobs, one after the other: the graph is built, and its loops are compiled, once. A model that was
    returned before is not to be used any more.

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
    kept = _kept.pop(key, None)
    if kept is not None:
        check_batch_size(config.batch_size, kept.model.graph, dataset)
        drawn = _initial_weights(config, dataset)
        if drawn.keys() <= kept.initial.keys():
            kept.model.assign(kept.initial | drawn)
        else:
            kept = None  # a network that names its variables otherwise
    if kept is None:
        # before the next is built: there are never more than that
        for old in list(_kept)[: len(_kept) + 1 - MOST_KEPT]:
            del _kept[old]
        model = build_model(config, dataset, device)
        kept = _Kept(model, model.state())
    _kept[key] = kept  # the last one used is the last
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


def graph_builder(config: DictConfig, dataset: Dataset) -> Callable[[], Graph]:
    """Returns a function that builds the run's graph in whatever tf.Graph is the current one."""
    network, make_layer = make(config, "network"), layer_maker(make(config, "variant"))
    return lambda: build_graph(
        network,
        make_layer,
        make(config, "optimizer"),
        example_shape=dataset.x_train.shape[1:],
        num_classes=dataset.num_classes,
        seed=config.seed,
    )


def check_sizes(network: DictConfig) -> None:
    """Raises UserError unless every size of the network's own, `widths` or `filters`, is a list of whole numbers."""
    for key in ("widths", "filters"):
        sizes = network.get(key, [1])
        if not (isinstance(sizes, ListConfig | list) and sizes and all(type(s) is int and s >= 1 for s in sizes)):
            raise UserError(
                f"network.{key} must be a list of whole numbers, each 1 or more, got {sizes}. "
                f"Write network.{key}='[16,32]', one number a layer."
            )


def check_batch_size(batch_size: int, graph: Graph, dataset: Dataset) -> None:
    """Raises UserError unless training batches of `batch_size` exist and have a variance."""
    if batch_size > len(dataset.x_train):
        raise UserError(
            f"batch_size must be at most the number of training examples, {len(dataset.x_train)}, got {batch_size}. "
            "Take a smaller batch or a larger dataset."
        )
    single = [name for name, positions in graph.layer_positions.items() if positions == 1]
    if batch_size == 1 and single:
        raise UserError(
            f"batch_size=1: one example gives {single[0]} one value a channel, whose variance is 0, so that it would "
            "turn every input into its beta and nothing could be learnt. "
            "Take batch_size=2 or more; it is eval_batch_size that may be 1."
        )
