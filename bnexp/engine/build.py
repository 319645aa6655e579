"""Builds a model that is ready to train, from settings and a dataset."""

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from bnexp.config.blame import blaming
from bnexp.config.make import make
from bnexp.config.settings import Settings
from bnexp.dataset import Dataset
from bnexp.engine.fitting import fitting_engine
from bnexp.engine.model import Model
from bnexp.errors import UserError
from bnexp.graph import Graph
from bnexp.graph.build import build_graph
from bnexp.graph.custom.seeds import seeded
from bnexp.graph.layer import is_variant, layer_maker


def build_model(settings: Settings, dataset: Dataset, device: str) -> Model:
    """Builds the network with the variant in a new graph, and initialises its variables.

    Args:
        settings: the settings of the run.
        dataset: the dataset, for the shape of an example and the number of classes.
        device: TensorFlow's name of the device, `"/CPU:0"`.

    Raises:
        UserError: the network cannot take the dataset's examples, or `batch_size` does not suit the dataset and the
            network.

    Example:
        >>> model = build_model(settings, make(settings, "dataset"), "/CPU:0")
        >>> model.layers
        ('bn1', 'bn2', 'bn3')
    """
    # names, seeds and cached functions of one run must not affect the next
    tf.keras.backend.clear_session(free_memory=False)  # a sweep collects its garbage between jobs anyway
    build = graph_builder(settings, dataset)
    engine, note = fitting_engine(settings.engine, make(settings, "variant"), build, device, updates=settings.updates)
    check_batch_size(settings.batch_size, engine.graph, dataset)
    return Model(engine, note)


def graph_builder(settings: Settings, dataset: Dataset) -> Callable[[], Graph]:
    """Returns a function that builds the run's graph in the current tf.Graph.

    Args:
        settings: the settings of the run.
        dataset: the dataset, for the shape of an example and the number of classes.

    Raises:
        UserError: a node's `_target_` cannot be imported, or rejects its arguments.

    Example:
        >>> with tf.Graph().as_default():
        ...     list(graph_builder(settings, dataset)().layers)
        ['bn1', 'bn2', 'bn3']
    """
    network, variant = make(settings, "network"), make(settings, "variant")
    target = settings.network["_target_"]
    if settings.updates != "auto" and is_variant(variant):
        raise UserError(
            f"updates={settings.updates} is for a layer of your own: {settings.variant['_target_']} runs its updates "
            "in its own way. Leave updates out."
        )
    make_layer = layer_maker(
        variant,
        updates=settings.updates,
        seed=settings.seed,
        decay=settings.decay,
        epsilon=settings.epsilon,
    )
    return lambda: build_graph(
        network if target.startswith("bnexp.") else partial(_theirs, target, network),
        make_layer,
        make(settings, "optimizer"),
        example_shape=dataset.x_train.shape[1:],
        num_classes=dataset.num_classes,
        seed=settings.seed,
    )


def check_batch_size(batch_size: int, graph: Graph, dataset: Dataset) -> None:
    """Checks that training batches of a size exist and have a variance.

    Args:
        batch_size: the number of examples in a training batch.
        graph: the graph that the batches are fed to.
        dataset: the dataset that they are taken from.

    Raises:
        UserError: the dataset has fewer training examples, or the size is 1 and a layer gets only one value per channel
            and example.

    Example:
        >>> check_batch_size(60, model.graph, dataset)
    """
    if batch_size > len(dataset.x_train):
        raise UserError(
            f"batch_size must be at most the number of training examples, {len(dataset.x_train)}, got {batch_size}. "
            "Take a smaller batch or a larger dataset."
        )
    single = [name for name, positions in graph.layer_positions.items() if positions == 1]
    if batch_size == 1 and single:
        raise UserError(
            f"batch_size=1: one example gives {single[0]} one value a channel, whose variance is 0: every output would "
            "be its beta, and nothing could be learnt. "
            "Take batch_size=2 or more; it is eval_batch_size that may be 1."
        )


def _theirs(
    target: str, network: Callable[..., tf.Tensor], inputs: tf.Tensor, *, seed: int, **arguments: Any
) -> tf.Tensor:
    """Calls a user's own network, whose initialisers may ask for a seed and whose mistakes are told as theirs."""
    with seeded(seed), blaming(f"network._target_={target}", target, tried=f"inputs {inputs.shape}"):
        logits = network(inputs, seed=seed, **arguments)
    if not isinstance(logits, tf.Tensor) or logits.shape[-1] != arguments["num_classes"]:
        found = logits.shape if isinstance(logits, tf.Tensor) else type(logits).__name__
        raise UserError(
            f"network._target_={target} returned {found}, and not the logits. Let it return a tensor [batch, "
            f"num_classes], here [?, {arguments['num_classes']}]."
        )
    return logits
