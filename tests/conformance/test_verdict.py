"""The diagnosis is right: for every variant of the zoo, for every mutant, and for layers of strangers.

Nothing is trained here: the evidence is the layer probed alone and the audit of the whole network's graph.
"""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import hydra
import mutants
import numpy as np
import pytest
import strangers
import tensorflow as tf
import test_broken
from omegaconf import OmegaConf

from bnexp.diagnose import diagnose
from bnexp.evaluate import Evaluation
from bnexp.examine import examine
from bnexp.fingerprint import fingerprint
from bnexp.graph import build_graph
from bnexp.layer import layer_maker, variant_factory, variant_names

ROOT = Path(__file__).resolve().parents[2]

# the networks as they are configured, on digits: rows for the one, images for the other
SHAPES = {"mlp": (64,), "cnn": (8, 8, 1)}
RANKS = {"mlp": 2, "cnn": 4}

RIGHT = [n for n in variant_names() if variant_factory(n, decay=0.9, epsilon=1e-3).func.traits.verdict == "healthy"]

# what remembers its start: all but the debiased average
LAG = [n for n in RIGHT if n != "zero_debias"]


@cache
def evidence(factory, network):
    """All that is known of a layer in a network; steps enough for any decay."""
    # Adam's slots take as long to make as all the rest of a graph: for the dense networks of the zoo alone
    adam = network == "mlp" and isinstance(factory, partial)
    optimizer = tf.compat.v1.train.AdamOptimizer if adam else tf.compat.v1.train.GradientDescentOptimizer
    node = OmegaConf.load(ROOT / "conf" / "network" / f"{network}.yaml")
    build = partial(
        build_graph,
        hydra.utils.instantiate(node),
        layer_maker(factory, decay=0.9, epsilon=1e-3),
        optimizer(1e-3),
        example_shape=SHAPES[network],
        num_classes=10,
        seed=0,
    )
    unmoved = Evaluation(np.zeros(1, np.int64), accuracy=0.5, moved=0.0, seconds=0.0)
    return examine(
        factory,
        build,
        rank=RANKS[network],
        decay=0.9,
        steps=10_000,
        replaced=False,
        trajectories=None,
        evaluation=unmoved,
        batched=unmoved,
    )


@cache
def variant(name):
    return variant_factory(name, decay=0.9, epsilon=1e-3)


def judged(factory, network="mlp"):
    return diagnose(evidence(factory, network))


@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("name", variant_names())
def test_verdict_is_the_claimed_one(name, network):
    diagnosis = judged(variant(name), network)
    assert diagnosis.verdict == variant(name).func.traits.verdict, diagnosis.sentence
    # a mistake comes with where it is written down and what to do
    assert bool(diagnosis.cure) == bool(diagnosis.document) == (diagnosis.verdict not in ("healthy", "no_statistics"))


@pytest.mark.parametrize("name", variant_names())
def test_verdict_does_not_read_the_traits(name):
    """The same layer that claims the opposite is judged the same."""
    honest = variant(name)
    claims = replace(
        honest.func.traits, verdict="healthy", moving="ema", inference_updates=False, ordered=True, document=""
    )
    liar = partial(type("Liar", (honest.func,), {"traits": claims}), **honest.keywords)
    # the graph is the same, so is its audit
    seen = replace(evidence(honest, "mlp"), fingerprint=fingerprint(liar))
    assert diagnose(seen).verdict == honest.func.traits.verdict


@pytest.mark.parametrize("name", LAG)
def test_right_but_slow_is_lagging(name):
    slow = replace(evidence(variant(name), "mlp"), decay=0.999, steps=100)
    diagnosis = diagnose(slow)
    assert diagnosis.verdict == "lagging"
    # .999**100; the slowest of the usual decays that leaves at most half a hundredth after 100 steps is .9
    assert "after 100 steps 0.999**100 = 0.905 of the initial 0 and 1 is left in the averages" in diagnosis.sentence
    assert diagnosis.cure == "decay=0.9 would have served; or take final_pass=layerwise"
    assert diagnose(replace(slow, decay=0.9)).verdict == "healthy"


def test_a_debiased_average_does_not_lag():
    assert diagnose(replace(evidence(variant("zero_debias"), "mlp"), decay=0.999, steps=100)).verdict == "healthy"


@pytest.mark.parametrize("name", [n for n in variant_names() if n not in RIGHT])
def test_wrong_in_kind_comes_before_wrong_in_degree(name):
    slow = replace(evidence(variant(name), "mlp"), decay=0.999, steps=100)
    assert diagnose(slow).verdict == variant(name).func.traits.verdict


# mutants whose numbers are right: what they betray is a claim, and the diagnosis reads no claims
HARMLESS = {
    mutants.InPlaceForUpdateOps: "its updates run, only not where it says",
    mutants.UpdateOpsForInPlace: "its updates run, only not where it says",
    mutants.BesselForBiased: "both conventions are right",
    mutants.BiasedForBessel: "both conventions are right",
    mutants.DebiasForgotten: "a plain average is right",
    mutants.BetaBeforeGamma: "beta * gamma is as good a shift as beta",
    mutants.GammaFromZero: "the residual networks' start",
    mutants.RenormUnclipped: "batch renormalisation without bounds",
    mutants.TrainableStatistics: "no gradient reaches them, so no optimizer touches them",
}

# mutants that cannot be built, in whose place stands TensorFlow's own error
UNBUILDABLE = {mutants.FlagAsPythonBool, mutants.ChannelsFirst}


@pytest.mark.parametrize(
    "mutant", sorted(set(test_broken.TABLE) - set(HARMLESS) - UNBUILDABLE, key=lambda m: m.__name__)
)
def test_no_mutant_is_healthy(mutant):
    network = {2: "mlp", 4: "cnn"}[test_broken.TABLE[mutant][0]]
    options = test_broken.OPTIONS.get(mutant)
    diagnosis = judged(partial(mutant, **options) if options else mutant, network)
    assert diagnosis.verdict not in ("healthy", "lagging"), diagnosis.sentence
    # of group normalisation across channels there is nothing to judge: it keeps no statistics
    assert (diagnosis.verdict == "no_statistics") == (mutant is mutants.GroupsAcross)


@pytest.mark.parametrize("mutant", HARMLESS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_that_only_lies_about_itself_is_healthy(mutant):
    options = test_broken.OPTIONS.get(mutant)
    assert judged(partial(mutant, **options) if options else mutant).verdict == "healthy", HARMLESS[mutant]


@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("layer", strangers.RIGHT, ids=lambda layer: layer.__name__)
def test_a_strangers_right_layer_is_healthy(layer, network):
    diagnosis = judged(layer, network)
    assert diagnosis.verdict == "healthy", diagnosis.sentence


@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("layer", strangers.BROKEN, ids=lambda layer: layer.__name__)
def test_a_strangers_broken_layer_is_called_so(layer, network):
    diagnosis = judged(layer, network)
    assert diagnosis.verdict == strangers.BROKEN[layer], diagnosis.sentence


def test_a_layer_with_a_decay_of_its_own_lags_by_that():
    own = evidence(strangers.Stateful, "mlp")
    assert not own.accepts_decay
    assert own.fingerprint.acting_decay == pytest.approx(0.95, abs=1e-5)
    # the run's decay says nothing about it: .95**20 is left after 20 steps, whatever was configured
    diagnosis = diagnose(replace(own, decay=0.5, steps=20))
    assert diagnosis.verdict == "lagging"
    assert "0.95**20 = 0.358 of the initial" in diagnosis.sentence
    assert diagnose(replace(own, decay=0.9999, steps=100)).verdict == "healthy"


def test_statistics_that_nobody_can_see_are_asked_for():
    class Hidden(strangers._Base):
        """A right layer with both statistics in one variable."""

        def __call__(self, inputs, training):
            with tf.compat.v1.variable_scope(self.name, reuse=tf.compat.v1.AUTO_REUSE):
                start = tf.constant([[0.0], [1.0]]) * tf.ones([1, inputs.shape[-1]])
                both = tf.compat.v1.get_variable("both", initializer=start, trainable=False)
            if not training:
                return tf.nn.batch_normalization(inputs, both[0], both[1], None, None, self.epsilon)
            batch = tf.stack(strangers.moments(inputs))
            with tf.control_dependencies([strangers.moved(both, batch, self.decay)]):
                return tf.nn.batch_normalization(inputs, *tf.unstack(batch), None, None, self.epsilon)

    diagnosis = judged(Hidden)
    assert diagnosis.verdict == "no_statistics"
    assert diagnosis.sentence.startswith("no moving statistics were found, yet training changed what inference returns")
    assert diagnosis.cure == "give the layer the attributes moving_mean and moving_variance, variables of [channels]"
