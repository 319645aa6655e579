"""The diagnosis is right for layers that are not of the zoo: for every mutant, and for layers as users write them."""

from dataclasses import replace
from functools import partial

import custom_layers
import mutants
import pytest
import tensorflow as tf
import test_broken
from judging import evidence, judged

from bnexp.diagnosis.diagnose import diagnose

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
    mutants.ContiguousGhosts: "both ways to cut a batch into ghost batches are right",
    mutants.DecayWarmsUp: "ExponentialMovingAverage's num_updates: the decay that was asked for is the last",
    mutants.TrainsNothing: "it averages; that nothing is learnt is not the averages' fault",
    mutants.TrainableStatistics: "no gradient reaches them, so no optimizer touches them",
}

# mutants that cannot be built, in whose place stands TensorFlow's own error
UNBUILDABLE = {mutants.FlagAsPythonBool, mutants.ChannelsFirst}


@pytest.mark.parametrize(
    "mutant", sorted(set(test_broken.TABLE) - set(HARMLESS) - UNBUILDABLE, key=lambda m: m.__name__)
)
def test_no_mutant_is_healthy(mutant):
    options = test_broken.OPTIONS.get(mutant)
    diagnosis = judged(partial(mutant, **options) if options else mutant, test_broken.TABLE[mutant][0])
    assert diagnosis.verdict not in ("healthy", "lagging"), diagnosis.sentence
    # of group normalisation across channels there is nothing to judge: it keeps no statistics
    assert (diagnosis.verdict == "no_statistics") == (mutant is mutants.GroupsAcross)


@pytest.mark.parametrize("mutant", HARMLESS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_that_only_lies_about_itself_is_healthy(mutant):
    options = test_broken.OPTIONS.get(mutant)
    assert judged(partial(mutant, **options) if options else mutant, 2).verdict == "healthy", HARMLESS[mutant]


@pytest.mark.parametrize("rank", [2, 4])
@pytest.mark.parametrize("layer", custom_layers.RIGHT, ids=lambda layer: layer.__name__)
def test_a_custom_layers_right_layer_is_healthy(layer, rank):
    diagnosis = judged(layer, rank)
    assert diagnosis.verdict == "healthy", diagnosis.sentence


@pytest.mark.parametrize("rank", [2, 4])
@pytest.mark.parametrize("layer", custom_layers.BROKEN, ids=lambda layer: layer.__name__)
def test_a_custom_layers_broken_layer_is_called_so(layer, rank):
    diagnosis = judged(layer, rank)
    assert diagnosis.verdict == custom_layers.BROKEN[layer], diagnosis.sentence


def test_a_layer_with_a_decay_of_its_own_lags_by_that():
    own = evidence(custom_layers.Stateful, 2)
    assert not own.fingerprint.takes_decay
    assert own.fingerprint.acting_decay == pytest.approx(0.95, abs=1e-5)
    # the run's decay says nothing about it: .95**20 is left after 20 steps, whatever was configured
    diagnosis = diagnose(replace(own, decay=0.5, steps=20))
    assert diagnosis.verdict == "lagging"
    assert "0.95**20 = 0.358 of the initial" in diagnosis.sentence
    assert diagnose(replace(own, decay=0.9999, steps=100)).verdict == "healthy"


def test_statistics_that_nobody_can_see_are_asked_for():
    class Hidden(custom_layers._Base):
        """A right layer with both statistics in one variable."""

        def __call__(self, inputs, training):
            with tf.compat.v1.variable_scope(self.name, reuse=tf.compat.v1.AUTO_REUSE):
                start = tf.constant([[0.0], [1.0]]) * tf.ones([1, inputs.shape[-1]])
                both = tf.compat.v1.get_variable("both", initializer=start, trainable=False)
            if not training:
                return tf.nn.batch_normalization(inputs, both[0], both[1], None, None, self.epsilon)
            batch = tf.stack(custom_layers.moments(inputs))
            with tf.control_dependencies([custom_layers.moved(both, batch, self.decay)]):
                return tf.nn.batch_normalization(inputs, *tf.unstack(batch), None, None, self.epsilon)

    diagnosis = judged(Hidden, 2)
    assert diagnosis.verdict == "no_statistics"
    assert diagnosis.sentence.startswith("no moving statistics were found, yet training changed what inference returns")
    assert diagnosis.cure == "give the layer the attributes moving_mean and moving_variance, variables of [channels]"
