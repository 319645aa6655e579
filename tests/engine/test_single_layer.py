"""The probe: one layer alone, its calls in order, what it moved and what it said."""

import re

import numpy as np
import pytest
import tensorflow as tf

from bnexp.config.paths import names_in
from bnexp.engine.single_layer import LAYER, lone_layer, run_calls
from bnexp.errors import UserError
from bnexp.probe import trace_layer
from bnexp.statistics.reference import Trace
from bnexp.variant.control_deps import BatchNorm

RNG = np.random.default_rng(0)
TRAINING = np.float32(RNG.normal(3.0, 2.0, [4, 6, 2]))
SINGLES = np.float32(RNG.normal(3.0, 2.0, [5, 1, 2]))


@pytest.mark.parametrize("engine", ["compiled", "session"])
def test_shapes_and_types(engine):
    images = np.float32(RNG.normal(3.0, 2.0, [4, 6, 3, 2, 5]))
    trace = trace_layer("contrib", images, images[:3, :1], decay=0.9, epsilon=1e-3, engine=engine)
    assert isinstance(trace, Trace)
    shapes = {"moving_mean": (7, 5), "moving_variance": (7, 5), "train_outputs": (4, 6, 3, 2, 5)}
    for name, shape in (shapes | {"inference_outputs": (3, 1, 3, 2, 5)}).items():
        array = getattr(trace, name)
        assert array.shape == shape
        assert array.dtype == np.float32
        assert type(array) is np.ndarray


def test_training_comes_first_then_inference_each_in_order():
    trace = trace_layer("contrib", TRAINING, SINGLES, decay=0.5, epsilon=1e-3)
    expected = np.zeros(2)
    for step, batch in enumerate(TRAINING):
        expected = (expected + batch.mean(0)) / 2
        np.testing.assert_allclose(trace.moving_mean[step], expected, rtol=1e-6)
    assert np.all(trace.moving_mean[4:] == trace.moving_mean[3])
    scale = np.sqrt(trace.moving_variance[3] + 1e-3)
    np.testing.assert_allclose(trace.inference_outputs, (SINGLES - expected) / scale, rtol=1e-5, atol=1e-6)


def test_inference_may_have_another_batch_size():
    many = trace_layer("contrib", TRAINING, SINGLES.reshape(1, 5, 2), decay=0.9, epsilon=1e-3)
    one_by_one = trace_layer("contrib", TRAINING, SINGLES, decay=0.9, epsilon=1e-3)
    np.testing.assert_allclose(many.inference_outputs[0], one_by_one.inference_outputs[:, 0], rtol=1e-6)


@pytest.mark.parametrize("name", ["identity", "group_norm", "layer_norm"])
def test_no_statistics_have_no_channels(name):
    trace = trace_layer(name, TRAINING, SINGLES, decay=0.9, epsilon=1e-3, engine="session")
    assert trace.moving_mean.shape == trace.moving_variance.shape == (9, 0)
    assert trace.inference_outputs.shape == (5, 1, 2)


def test_a_class_is_as_good_as_a_name():
    by_name = trace_layer("control_deps", TRAINING, SINGLES, decay=0.9, epsilon=1e-3, engine="session")
    by_class = trace_layer(BatchNorm, TRAINING, SINGLES, decay=0.9, epsilon=1e-3, engine="session")
    for part in ("moving_mean", "moving_variance", "train_outputs", "inference_outputs"):
        np.testing.assert_array_equal(getattr(by_name, part), getattr(by_class, part))


def test_engines_agree():
    parts = [
        trace_layer("update_ops", TRAINING, SINGLES, decay=0.9, epsilon=1e-3, engine=e) for e in ("compiled", "session")
    ]
    for part in ("moving_mean", "moving_variance", "train_outputs", "inference_outputs"):
        # a compiler may fuse a product with a sum: one rounding of the larger operand, 3 standard deviations here
        np.testing.assert_allclose(*(getattr(trace, part) for trace in parts), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("engine", ["compiled", "session"])
def test_no_calls_are_no_calls(engine):
    only_training = trace_layer("contrib", TRAINING, SINGLES[:0], decay=0.9, epsilon=1e-3, engine=engine)
    assert only_training.inference_outputs.shape == (0, 1, 2)
    assert only_training.moving_mean.shape == (4, 2)
    only_inference = trace_layer("contrib", TRAINING[:0], SINGLES, decay=0.9, epsilon=1e-3, engine=engine)
    assert only_inference.train_outputs.shape == (0, 6, 2)
    # untrained: 0 and 1
    np.testing.assert_allclose(only_inference.inference_outputs, SINGLES / np.sqrt(1.001), rtol=1e-6)


def test_unknown_variant_names_the_known_ones():
    known = ", ".join(names_in("variant"))
    message = f"variant=batchnorm: there is no batchnorm.yaml in conf/variant. Take one of {known}."
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        trace_layer("batchnorm", TRAINING, SINGLES, decay=0.9, epsilon=1e-3)


@pytest.mark.parametrize("engine", ["compiled", "session"])
def test_the_train_op_changes_nothing_but_what_the_layer_moves(engine):
    alone = lone_layer(BatchNorm, (2,), engine=engine, decay=0.9, epsilon=1e-3)
    before = alone.state()
    run_calls(alone, alone.graph.train, TRAINING)
    after = alone.state()
    assert {name for name in before if np.any(before[name] != after[name])} == {"bn/moving_mean", "bn/moving_variance"}
    assert np.all(after["bn/gamma"] == 1)
    assert not after["bn/beta"].any()


def test_a_flag_is_fed_to_one_tower_or_given_to_two():
    told = []

    class Told(BatchNorm):
        def __call__(self, inputs, training):
            told.append(training)
            return super().__call__(inputs, training)

    lone_layer(Told, (2,), engine="session", decay=0.9, epsilon=1e-3)
    assert told == [True, False]  # a variant says what it takes, and is not tried
    told.clear()

    class Fed:
        """Takes a tensor, and says so."""

        traits = type(BatchNorm.traits)(flag="tensor")

        def __call__(self, inputs, training):
            told.append(training)
            return tf.where(training, inputs + 1, inputs)

    alone = lone_layer(Fed, (2,), engine="session", decay=0.9, epsilon=1e-3)
    tried, given = told[:-1], told[-1]
    assert (given.dtype, given.op.type) == (tf.bool, "Placeholder")
    # another's layer is tried before, in a graph that is thrown away; into the engine's it is built once
    assert tried
    assert [one.graph is given.graph for one in tried] == [False] * len(tried)
    assert {one.dtype for one in tried} == {tf.bool}
    rows = TRAINING[:1]
    np.testing.assert_array_equal(run_calls(alone, alone.graph.inference, rows)["outputs"], rows)
    np.testing.assert_array_equal(run_calls(alone, alone.graph.train, rows)["outputs"], rows + 1)


def test_a_leak_is_seen_in_the_call_that_leaks():
    """The statistics are read after everything that moves them, also what a tf.cond does not wait for itself."""
    for _ in range(5):
        trace = trace_layer("contrib_twin", TRAINING, SINGLES, decay=0.9, epsilon=1e-3, engine="session")
        np.testing.assert_allclose(trace.moving_variance[4:] / trace.moving_variance[3:-1], 0.9, rtol=1e-6)


def test_the_layer_is_called_bn():
    alone = lone_layer(BatchNorm, (2,), engine="session", decay=0.9, epsilon=1e-3)
    assert list(alone.graph.layers) == [LAYER] == ["bn"]
    assert alone.graph.layer_ranks == {"bn": 2}
