"""From a config and a dataset to a model that is ready to train."""

import inspect
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any

import tensorflow as tf
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from bnexp.dataset import Dataset
from bnexp.engine.compiled import CompiledEngine
from bnexp.engine.session import SessionEngine
from bnexp.errors import UserError, first_line
from bnexp.graph import Graph, build_graph
from bnexp.layer import layer_maker
from bnexp.model import Model

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
