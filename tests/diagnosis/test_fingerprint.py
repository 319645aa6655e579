"""The fingerprint of layers whose every number is known beforehand."""

import importlib

import numpy as np
import pytest
import tensorflow as tf

from bnexp.diagnosis.fingerprint import fingerprint
from bnexp.diagnosis.specimen import DECAY
from bnexp.graph.layer import variant_factory

v1 = tf.compat.v1


def of(name, rank=2, **options):
    made = variant_factory(name, decay=DECAY, epsilon=1e-3)
    made.keywords.update(options)
    return fingerprint(made, rank=rank)


@pytest.mark.parametrize("rank", [2, 4])
def test_a_right_layer(rank):
    seen = of("control_deps", rank)
    assert seen.keeps_statistics
    assert (seen.mean_recurrence, seen.variance_recurrence, seen.variance_ddof) == ("ema", "ema", 0)
    assert (seen.training_uses, seen.inference_uses, seen.gradient) == ("batch", "moving", "batch")
    assert seen.affine_agrees
    assert seen.initial == (0.0, 1.0)
    assert seen.acting_decay == pytest.approx(0.9, abs=1e-5)
    assert seen.first_variance[0] == pytest.approx(seen.first_variance[1], rel=1e-6)
    # of what must not happen, nothing, to the bit
    assert seen.moved_by_inference == seen.moved_by_monitoring == seen.variance_error == seen.changed_by_training == 0
    assert seen.variance_kept == 1
    assert seen.averaged_elsewhere == seen.copied_elsewhere == ()
    assert seen.batch_dependence < 1e-4
    assert seen.constant_output < 1e-4


def test_it_is_the_same_every_time():
    assert of("update_ops") == of("update_ops")


def test_the_configured_decay_and_epsilon_do_not_matter():
    """The specimen has its own; what the configuration says is not the layer's doing."""
    slow = variant_factory("contrib", decay=0.9999, epsilon=1e-7)
    assert fingerprint(slow) == of("contrib")


@pytest.mark.parametrize(
    ("name", "rank", "expected"),
    [
        ("fused", 2, {"variance_ddof": 1}),
        ("update_ops", 2, {"variance_ddof": 0}),
        ("update_ops", 4, {"variance_ddof": 1}),
        ("zero_debias", 2, {"mean_recurrence": "zero_debias", "variance_recurrence": "zero_debias"}),
        ("renorm", 2, {"variance_recurrence": "stddev_ema", "training_uses": "renorm", "gradient": ""}),
        ("ghost", 4, {"variance_recurrence": "ghost_ema", "training_uses": "ghost"}),
        ("double_update", 2, {"mean_recurrence": "double", "acting_decay": pytest.approx(0.81, abs=1e-5)}),
        ("momentum_swapped", 2, {"mean_recurrence": "swapped", "acting_decay": pytest.approx(0.1, abs=1e-5)}),
        ("debias_from_ones", 2, {"mean_recurrence": "zero_debias", "variance_recurrence": "debias_from_ones"}),
        ("variance_from_zero", 2, {"initial": (0.0, 0.0), "variance_recurrence": "ema"}),
        ("update_ops_forgotten", 2, {"mean_recurrence": "never", "averaged_elsewhere": ()}),
        ("ema_never_applied", 2, {"copied_elsewhere": ("bn/moving_mean", "bn/moving_variance")}),
        ("control_deps_same_graph", 2, {"averaged_elsewhere": ("bn/moving_mean", "bn/moving_variance")}),
        ("always_batch", 2, {"inference_uses": "batch", "mean_recurrence": "ema"}),
        ("contrib_positional", 4, {"inference_uses": "batch", "mean_recurrence": "never"}),
        ("identity", 2, {"keeps_statistics": False, "changed_by_training": 0.0, "batch_dependence": 0.0}),
        ("group_norm", 2, {"keeps_statistics": False, "changed_by_training": 0.0}),
    ],
)
def test_what_is_known_of_a_variant(name, rank, expected):
    seen = of(name, rank)
    assert {key: getattr(seen, key) for key in expected} == expected


def test_a_leak_multiplies_the_variance_by_the_decay_of_the_specimen():
    seen = of("contrib_twin")
    assert seen.variance_kept == pytest.approx(0.9, abs=1e-6)
    assert seen.moved_by_inference > 1
    # with positions there is a variance to average, and so no one factor
    assert np.isnan(of("contrib_twin", rank=4).variance_kept)


def test_equal_rows_by_the_statistics_of_no_data():
    # 5 / sqrt(1 + .1), the specimen's epsilon being .1
    assert of("frozen").constant_output == pytest.approx(5 / np.sqrt(1.1), rel=1e-6)
    assert of("identity").constant_output == 5


def test_company_shows_at_batch_statistics_alone():
    assert of("always_batch").batch_dependence > 1
    assert of("test_set_leak").batch_dependence == 0
    assert of("test_set_leak").moved_by_monitoring > 1


def test_one_group_a_channel_is_no_gamma_from_zero():
    """A dense layer of four groups gives 0 whatever it is given, as a gamma of 0 would: it is not to be taken for one."""
    seen = of("group_norm", groups=4)
    assert not seen.keeps_statistics
    assert seen.changed_by_training == 0


def test_a_large_mean_shows_squares():
    control_deps = importlib.import_module("bnexp.variant.control_deps")

    class Squares(control_deps.BatchNorm):
        def __call__(self, inputs, training):
            def squares(inputs):
                axes = list(range(len(inputs.shape) - 1))
                mean = tf.reduce_mean(inputs, axes)
                return mean, tf.reduce_mean(inputs**2, axes) - mean**2

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(control_deps, "batch_moments", squares)
                return super().__call__(inputs, training)

    seen = fingerprint(Squares)
    assert (seen.mean_recurrence, seen.variance_recurrence) == ("ema", "ema")
    # 300**2 has a spacing of .0078 in float32, of variances between .25 and 4: a thousandth or so
    assert 1e-4 < seen.variance_error < 0.1


def test_gamma_from_zero_is_looked_through():
    def layer(inputs, training, decay, epsilon):
        gamma = v1.get_variable("gamma", [inputs.shape[-1]], initializer=v1.zeros_initializer())
        mean = v1.get_variable("moving_mean", [inputs.shape[-1]], initializer=v1.zeros_initializer(), trainable=False)
        variance = v1.get_variable("moving_var", [inputs.shape[-1]], initializer=v1.ones_initializer(), trainable=False)
        if not training:
            return tf.nn.batch_normalization(inputs, mean, variance, None, gamma, epsilon)
        batch = tf.nn.moments(inputs, [0])
        updates = [v.assign(decay * v + (1 - decay) * b) for v, b in zip((mean, variance), batch, strict=True)]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, *batch, None, gamma, epsilon)

    seen = fingerprint(layer)
    assert (seen.training_uses, seen.inference_uses, seen.gradient) == ("batch", "moving", "batch")
