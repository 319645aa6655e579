"""From a config and a dataset to a model that is ready to train."""

import tensorflow as tf
from hydra.utils import instantiate
from omegaconf import DictConfig

from bnexp.dataset import Dataset
from bnexp.engine.compiled import CompiledEngine
from bnexp.engine.session import SessionEngine
from bnexp.errors import UserError
from bnexp.graph import Graph, build_graph
from bnexp.model import Model

ENGINES = {"compiled": CompiledEngine, "session": SessionEngine}


def build_model(config: DictConfig, dataset: Dataset, device: str) -> Model:
    """Builds the network with the variant, once, in a graph of its own.

    Args:
        config: composed from conf/config.yaml.
        dataset: gives the shape of an example and the number of classes.
        device: TensorFlow's name of the device.

    Raises:
        UserError: network and dataset do not fit, or the batch is too small to have a variance.
    """
    network, variant = instantiate(config.network), instantiate(config.variant)

    def build() -> Graph:
        return build_graph(
            network,
            lambda name: variant(name=name),
            instantiate(config.optimizer),
            example_shape=dataset.x_train.shape[1:],
            num_classes=dataset.num_classes,
            seed=config.seed,
        )

    # nothing of one run may reach the next: names, seeds, cached functions
    tf.keras.backend.clear_session()
    engine = ENGINES[config.engine](build, device=device)
    check_batch_size(config.batch_size, engine.graph, dataset)
    return Model(engine)


def check_batch_size(batch_size: int, graph: Graph, dataset: Dataset) -> None:
    """Raises UserError unless training batches of `batch_size` exist and have a variance."""
    if batch_size > len(dataset.x_train):
        raise UserError(
            f"batch_size must be at most the number of training examples, {len(dataset.x_train)}, got {batch_size}. "
            "Take a smaller batch or a larger dataset."
        )
    dense = [name for name, rank in graph.layer_ranks.items() if rank == 2]
    if batch_size == 1 and dense:
        raise UserError(
            f"batch_size=1: a dense layer's batch of one example has variance 0, so {dense[0]} would turn every input into "
            "its beta and nothing could be learnt. Take batch_size=2 or more; it is eval_batch_size that may be 1."
        )
