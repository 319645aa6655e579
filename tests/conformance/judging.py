"""The diagnosis without a training: the evidence is the layer probed alone and the audit of a whole network's graph."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import tensorflow as tf
from hydra.utils import instantiate
from omegaconf import OmegaConf

from bnexp.config.paths import CONF_DIR
from bnexp.diagnosis.audit import audit_built
from bnexp.diagnosis.diagnose import diagnose
from bnexp.diagnosis.evidence import Evidence, gather_evidence
from bnexp.diagnosis.fingerprint import fingerprint
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.evaluation.evaluate import Evaluation
from bnexp.evaluation.harm import Harm
from bnexp.graph.build import build_graph
from bnexp.graph.layer import layer_maker

v1 = tf.compat.v1

# two layers alike are as good as many; a word is a network of conf/network, a rank two layers with nothing in between
SIZES: dict[str, dict[str, Any]] = {"mlp": {"widths": [5, 5]}, "cnn": {"filters": [4, 4]}}
RANKS: dict[str | int, int] = {"mlp": 2, "cnn": 4, 2: 2, 4: 4}
SHAPES = {2: (6,), 4: (4, 4, 1)}

UNMOVED = Evaluation(np.zeros(1, np.int64), accuracy=0.5, moved=0.0, seconds=0.0)

UNHARMED = Harm(0.5, float("nan"), float("nan"), flips=0)


def in_a_row(inputs: tf.Tensor, *, batch_norm: Any, num_classes: int, seed: int) -> tf.Tensor:
    """A network of two layers and nothing else."""
    return batch_norm(3 * batch_norm(inputs, "bn1") + 1, "bn2")


def anchored(outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Its loss, with a variable of its own: `minimize` must have something to do under any layer."""
    return v1.get_variable("anchor", [], initializer=v1.ones_initializer()) * tf.reduce_sum(outputs)


@cache
def evidence(factory: Callable[..., Any], network: str | int) -> Evidence:
    """Returns all that is known of a layer in a network; steps enough for any decay."""
    made, rank = in_a_row, RANKS[network]
    if isinstance(network, str):
        made = instantiate(OmegaConf.merge(OmegaConf.load(CONF_DIR / "network" / f"{network}.yaml"), SIZES[network]))
    build = partial(
        build_graph,
        made,
        layer_maker(factory, decay=0.9, epsilon=1e-3),
        # Adam's slots take as long to make as all the rest of a graph; tests/diagnosis/test_audit.py has them
        v1.train.GradientDescentOptimizer(1e-3),
        example_shape=SHAPES[rank],
        num_classes=3,
        seed=0,
        loss_of=None if isinstance(network, str) else anchored,
    )
    return gather_evidence(
        fingerprint(factory, rank=rank),
        audit_built(build),
        decay=0.9,
        steps=10_000,
        replaced=False,
        trajectories=None,
        before=UNMOVED,
        batched=UNMOVED,
        harm=UNHARMED,
    )


def judged(factory: Callable[..., Any], network: str | int) -> Diagnosis:
    """Judges a layer by that."""
    return diagnose(evidence(factory, network))
