"""The audit: each rule on a graph that breaks it and on one that does not, with the op and the words."""

from functools import partial

import pytest
import tensorflow as tf

from bnexp.config.paths import names_in
from bnexp.diagnosis.audit import Finding, audit
from bnexp.graph.build import build_graph
from bnexp.graph.layer import layer_maker, variant_factory
from bnexp.network.mlp import mlp
from bnexp.variant import average, batch_moments, new_affine, new_moving
from bnexp.variant.control_deps import BatchNorm

v1 = tf.compat.v1


def audited(factory, *, layers=2, optimizer=v1.train.GradientDescentOptimizer):
    """Audits a small dense network with the layer."""
    with tf.Graph().as_default():
        network = partial(mlp, widths=[5] * layers)
        options = {"example_shape": (4,), "num_classes": 3, "seed": 0}
        return audit(build_graph(network, layer_maker(factory), optimizer(0.1), **options))


def zoo(name, **options):
    return audited(variant_factory(name, decay=0.9, epsilon=1e-3), **options)


def made(layer):
    return partial(layer, decay=0.9, epsilon=1e-3)


# of each variant, the rules that its graph breaks; of those not named, none
BROKEN = {
    "contrib_positional": {"update_never_run"},
    "contrib_twin": {"update_at_inference", "unordered_read"},
    "control_deps_leaky": {"update_at_inference"},
    "control_deps_same_graph": {"update_never_run", "two_sets"},
    "ema_never_applied": {"update_never_run", "two_sets"},
    "ema_unordered": {"unordered_average"},
    "frozen": {"update_never_run"},
    "moving_in_training": {"unordered_read"},
    "slim_detached": {"update_never_run"},
    "update_ops_collected_too_early": {"update_never_run"},
    "update_ops_forgotten": {"update_never_run"},
}


@pytest.mark.parametrize("name", names_in("variant"))
def test_rules_that_a_variant_breaks(name):
    findings = zoo(name)
    assert {finding.check for finding in findings} == BROKEN.get(name, set())
    assert {finding.layer for finding in findings} == ({"bn1", "bn2"} if name in BROKEN else set())


@pytest.mark.parametrize("optimizer", [partial(v1.train.MomentumOptimizer, momentum=0.9), v1.train.AdamOptimizer])
def test_slots_of_an_optimizer_are_no_statistics(optimizer):
    assert zoo("control_deps", optimizer=optimizer) == []
    assert {f.check for f in zoo("update_ops_forgotten", optimizer=optimizer)} == {"update_never_run"}


def first(findings, check):
    return next(finding for finding in findings if finding.check == check)


def test_an_update_that_nothing_runs():
    class Detached(BatchNorm):
        """Makes its updates and ties them to nothing."""

        def __call__(self, inputs, training):
            with v1.variable_scope(self.name, reuse=not training):
                gamma, beta = new_affine(inputs.shape[-1])
                self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
            mean, variance = batch_moments(inputs)
            if not training:
                mean, variance = self.moving_mean, self.moving_variance
            else:
                average(self.moving_mean, mean, self.decay)
            return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, self.epsilon)

    op = "AssignSubVariableOp"
    assert audited(made(Detached), layers=1) == [
        Finding(
            "update_never_run",
            "bn1",
            op,
            f"{op} updates bn1/moving_mean:0 and is no ancestor of the train op: it never runs",
        ),
        Finding("update_never_run", "bn1", "bn1/moving_variance", "nothing in the graph writes bn1/moving_variance:0"),
    ]


def test_an_update_in_a_branch_that_nothing_runs():
    assert zoo("update_ops_forgotten", layers=1)[0] == Finding(
        "update_never_run",
        "bn1",
        "cond",
        "cond guards the update of bn1/moving_mean:0 and is no ancestor of the train op",
    )


def test_updates_that_an_inference_tower_makes_besides_are_no_fault():
    class BothTowers(BatchNorm):
        """Leaves updates in a collection from both towers; the train op runs the first tower's."""

        def __call__(self, inputs, training):
            with v1.variable_scope(self.name, reuse=not training):
                gamma, beta = new_affine(inputs.shape[-1])
                self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
            batch = batch_moments(inputs)
            for moving, value in zip((self.moving_mean, self.moving_variance), batch, strict=True):
                v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, average(moving, value, self.decay))
            used = batch if training else (self.moving_mean, self.moving_variance)
            return tf.nn.batch_normalization(inputs, *used, beta, gamma, self.epsilon)

        @staticmethod
        def train_op(optimizer, loss, layers):
            with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
                return optimizer.minimize(loss)

    assert audited(made(BothTowers)) == []


def test_an_update_at_inference():
    found = first(zoo("contrib_twin", layers=1), "update_at_inference")
    said = "AssignSubVariableOp updates bn1/moving_mean:0 and is an ancestor of what inference fetches"
    assert found == Finding("update_at_inference", "bn1", "AssignSubVariableOp", said)


def test_an_average_that_waits_for_nothing():
    found = first(zoo("ema_unordered", layers=1), "unordered_average")
    read = "ExponentialMovingAverage/AssignMovingAvg/sub_1/ReadVariableOp"
    said = f"in training nothing orders the read {read} of bn1/moving_mean:0 against its assignment AssignVariableOp"
    assert found == Finding("unordered_average", "bn1", read, said)


def test_a_read_that_waits_for_nothing():
    found = first(zoo("moving_in_training", layers=1), "unordered_read")
    read, write = "batchnorm/ReadVariableOp_1", "AssignSubVariableOp"
    said = f"in training nothing orders the read {read} of bn1/moving_mean:0 against its assignment {write}"
    assert found == Finding("unordered_read", "bn1", read, said)


def test_two_sets():
    found = first(zoo("control_deps_same_graph", layers=1), "two_sets")
    assert found == Finding(
        "two_sets",
        "bn1",
        "bn1/moving_mean",
        "training writes bn1/moving_mean:0, bn1/moving_variance:0; "
        "inference reads bn1_1/moving_mean:0, bn1_1/moving_variance:0",
    )


def test_one_set_for_two_layers():
    class AutoReuse(BatchNorm):
        """Deaf to its name."""

        def __call__(self, inputs, training):
            with v1.variable_scope("bn", reuse=v1.AUTO_REUSE):
                gamma, beta = new_affine(inputs.shape[-1])
                self.moving_mean, self.moving_variance = new_moving(inputs.shape[-1])
            batch = batch_moments(inputs)
            updates = [average(self.moving_mean, batch[0], 0.9), average(self.moving_variance, batch[1], 0.9)]
            used = batch if training else (self.moving_mean, self.moving_variance)
            with tf.control_dependencies(updates if training else []):
                return tf.nn.batch_normalization(inputs, *used, beta, gamma, self.epsilon)

    shared = [finding for finding in audited(made(AutoReuse)) if finding.check == "shared_statistics"]
    said = "bn1 and bn2 share bn/{0}:0, and each step averages the batches of both into it"
    assert shared == [
        Finding("shared_statistics", "bn2", f"bn/{name}", said.format(name))
        for name in ("moving_mean", "moving_variance")
    ]
    assert "shared_statistics" not in {finding.check for finding in audited(made(AutoReuse), layers=1)}


class Trainable(BatchNorm):
    """Statistics that an optimizer may touch; training normalises with them where `learns`."""

    learns = True

    def __call__(self, inputs, training):
        with v1.variable_scope(self.name, reuse=not training):
            gamma, beta = new_affine(inputs.shape[-1])
            self.moving_mean = v1.get_variable("moving_mean", [inputs.shape[-1]], initializer=v1.zeros_initializer())
            self.moving_variance = v1.get_variable("moving_var", [inputs.shape[-1]], initializer=v1.ones_initializer())
        batch = batch_moments(inputs)
        updates = [average(self.moving_mean, batch[0], 0.9), average(self.moving_variance, batch[1], 0.9)]
        used = batch if training and not self.learns else (self.moving_mean, self.moving_variance)
        with tf.control_dependencies(updates if training else []):
            return tf.nn.batch_normalization(inputs, *used, beta, gamma, self.epsilon)


def test_a_statistic_that_an_optimizer_trains():
    found = first(audited(made(Trainable), layers=1), "trained_statistic")
    op = "GradientDescent/update_bn1/moving_mean/ResourceApplyGradientDescent"
    said = f"{op}, the optimizer's, moves bn1/moving_mean:0 by its gradient"
    assert found == Finding("trained_statistic", "bn1", op, said)


def test_a_statistic_that_no_gradient_reaches_is_not_trained():
    harmless = type("Harmless", (Trainable,), {"learns": False})
    assert audited(made(harmless)) == []


def test_a_statistic_that_a_saver_does_not_know():
    class Local(BatchNorm):
        def __call__(self, inputs, training):
            outputs = super().__call__(inputs, training)
            collection = v1.get_default_graph().get_collection_ref(v1.GraphKeys.GLOBAL_VARIABLES)
            collection[:] = [variable for variable in collection if variable is not self.moving_mean]
            return outputs

    said = "a Saver() would not save bn1/moving_mean:0: it is in no collection of variables"
    assert audited(made(Local), layers=1) == [Finding("not_saved", "bn1", "bn1/moving_mean:0", said)]
