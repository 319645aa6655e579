"""The ways to make and call a layer: what reaches its arguments, and how it is told whether it trains."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from bnexp.engine.single_layer import LAYER, lone_graph
from bnexp.errors import UserError
from bnexp.graph.custom.arguments import Place
from bnexp.graph.custom.made import call_of
from bnexp.graph.custom.trial import adapt
from bnexp.graph.custom.ways import ways

v1 = tf.compat.v1

PLACE = Place("bn1", (None, 3), 0.8, 0.25)
ROWS = np.float32([[1, 2, 3], [4, 6, 8]])


def outputs(factory, *, decay=0.8, epsilon=0.25):
    """Builds a layer alone and returns what it makes of ROWS in training and at inference."""
    with tf.Graph().as_default(), v1.Session() as session:
        graph = lone_graph(factory, (3,), decay=decay, epsilon=epsilon)
        session.run(v1.global_variables_initializer())
        both = graph.batch_mode, graph.inference
        return [session.run(one.outputs["outputs"], {one.feeds[0]: ROWS, **dict(one.constants)}) for one in both]


def found(factory, place=PLACE):
    return adapt(factory, place).way


def variable(name, size):
    return v1.get_variable(name, [size], initializer=v1.zeros_initializer(), trainable=False)


def test_channels_name_decay_and_epsilon_are_filled():
    told = []

    def layer(x, n_out, phase_train, scope="bn", decay=0.99, eps=1e-5):
        told.append((n_out, scope, decay, eps))
        return tf.cond(phase_train, lambda: x + 0, lambda: x * 2)

    way = found(layer)
    assert (way.kind, way.flag.words) == ("function", "phase_train=a bool tensor")
    assert told[-1] == (3, "bn1", 0.8, 0.25)
    assert [way.takes(role) for role in ("decay", "epsilon", "name")] == [True, True, True]


def test_defaults_are_kept_where_the_layer_refuses_others():
    def layer(x, training, decay=0.99):
        assert decay == 0.99
        return x if training else x + 1

    way = found(layer)
    assert way.required_only
    assert not way.takes("decay")


def test_a_key_that_the_user_wrote_is_left_as_it_is():
    told = []

    def layer(x, training, decay=0.99):
        told.append(decay)
        return x if training else x + 1

    assert not found(partial(layer, decay=0.5)).takes("decay")
    assert set(told) == {0.5}


def test_reuse_is_false_at_the_first_call_and_true_at_the_second():
    told = []

    def layer(x, training, reuse, scope="bn"):
        told.append((training, reuse))
        with v1.variable_scope(scope, reuse=reuse):
            offset = variable("offset", 3)
        return x if training else x + offset

    found(layer)
    assert told[-2:] == [(True, False), (False, True)]


def test_an_optional_reuse_is_told_only_where_it_is_true():
    told = []

    def layer(x, training, reuse=None):
        told.append(reuse)
        with v1.variable_scope("own", reuse=reuse):
            offset = variable("offset", 3)
        return x if training else x + offset

    found(layer)
    assert told[-2:] == [None, True]


def test_a_required_step_average_and_offset_are_objects_of_tensorflow():
    def layer(x, is_training, global_step, ema, offset):
        assert global_step is v1.train.get_global_step()
        assert isinstance(ema, v1.train.ExponentialMovingAverage)
        assert ema._decay == 0.8
        assert offset.shape == [3]
        assert offset.trainable
        return x + offset if is_training else x + offset + 1

    training, inference = outputs(layer)
    np.testing.assert_array_equal(training, ROWS)
    np.testing.assert_array_equal(inference, ROWS + 1)


def test_a_required_step_counts_the_train_op_s_runs():
    def layer(x, training, global_step):
        step = tf.cast(global_step, tf.float32)
        return x + step if training else x - step

    with tf.Graph().as_default(), v1.Session() as session:
        graph = lone_graph(layer, (3,), decay=0.8, epsilon=0.25)
        session.run(v1.global_variables_initializer())
        for _ in range(3):
            session.run(graph.train.outputs["loss"], dict(zip(graph.train.feeds, (ROWS, [0, 0]), strict=True)))
        assert session.run(v1.train.get_global_step()) == 3


def test_an_optional_step_keeps_its_default():
    told = []

    def layer(x, training, global_step=None):
        told.append(global_step)
        return x if training else x + 1

    found(layer)
    assert set(told) == {None}


def test_a_required_argument_that_nobody_knows_is_told_with_its_override():
    def layer(x, is_training, groups):
        return x

    with pytest.raises(
        UserError, match=r"takes groups, which bnexp cannot know: give it by \+variant\.groups=VALUE\.$"
    ):
        found(layer)
    assert found(partial(layer, groups=2)).kind == "function"


def test_a_maker_s_required_argument_that_nobody_knows_is_told_too():
    class Layer:
        def __init__(self, num_features, kernel): ...

        def __call__(self, x, training): ...

    with pytest.raises(
        UserError, match=r"takes kernel, which bnexp cannot know: give it by \+variant\.kernel=VALUE\.$"
    ):
        found(Layer)


def test_arguments_of_the_call_are_filled_beside_those_of_the_class():
    told = []

    class Layer:
        def __init__(self, decay=0.99):
            self.decay = decay

        def __call__(self, x, training, dim):
            told.append((self.decay, dim))
            return x if training else x + 1

    assert found(Layer).kind == "maker"
    assert set(told) == {(0.8, 3)}


def test_a_key_for_the_call_reaches_the_call():
    told = []

    class Layer:
        def __call__(self, x, training, groups):
            told.append(groups)
            return x if training else x + 1

    found(partial(Layer, groups=4))
    assert set(told) == {4}


def test_a_flag_in_init_may_be_a_tensor():
    class Layer:
        def __init__(self, size, is_training):
            self.is_training = is_training

        def __call__(self, x):
            return tf.cond(self.is_training, lambda: x + 0, lambda: x + 1)

    way = found(Layer)
    assert (way.at, way.flag.words) == ("init", "is_training=a bool tensor")
    np.testing.assert_array_equal(outputs(Layer), [ROWS, ROWS + 1])


def test_a_flag_in_init_that_is_kept_is_switched():
    born = []

    class Layer:
        def __init__(self, size, training=True):
            born.append(self)
            self._training = training

        def __call__(self, x):
            return x if self._training else x + 1

    way = found(Layer)
    assert (way.at, way.flag.words) == ("attribute", "training=True")
    born.clear()
    np.testing.assert_array_equal(outputs(Layer), [ROWS, ROWS + 1])
    assert len(born) == len({id(one) for one in born})


def test_a_flag_in_init_that_is_not_kept_takes_a_second_object():
    class Layer:
        def __init__(self, size, training):
            self.added = 0 if training else 1

        def __call__(self, x):
            return x + self.added

    way = found(Layer)
    assert (way.at, way.flag.words) == ("init", "training=True")
    np.testing.assert_array_equal(outputs(Layer), [ROWS, ROWS + 1])


def test_an_inverted_flag_in_init_is_switched_the_right_way():
    class Layer:
        def __init__(self, is_test=False):
            self.is_test = is_test

        def __call__(self, x):
            return x + 1 if self.is_test else x

    assert found(Layer).at == "attribute"
    np.testing.assert_array_equal(outputs(Layer), [ROWS, ROWS + 1])


def test_a_flag_that_is_an_attribute_alone_is_switched():
    class Layer:
        def __init__(self):
            self.training = True

        def __call__(self, x):
            return x if self.training else x + 1

    assert found(Layer).at == "attribute"
    np.testing.assert_array_equal(outputs(Layer), [ROWS, ROWS + 1])


@pytest.mark.parametrize(
    "layer",
    [
        lambda x, is_test: x + 1 if is_test else x,
        lambda x, is_test=True: x + 1 if is_test else x,
        lambda x, train=1: {1: x, 0: x + 1}[train],
        lambda x, is_test=0: {0: x, 1: x + 1}[is_test],
        lambda x, train: tf.cond(tf.equal(train, 1), lambda: x + 0, lambda: x + 1),
        lambda x, train: x + (1 - train),
        lambda x, mode="train": {"train": x, "test": x + 1}[mode],
        lambda x, mode="TRAIN": {"TRAIN": x, "TEST": x + 1}[mode],
        lambda x, mode: {"train": x, "eval": x + 1}[mode],
        lambda x, mode: {"training": x, "inference": x + 1}[mode],
        lambda is_training, x: x if is_training else x + 1,
        lambda x, odd: x if odd else x + 1,
    ],
)
def test_every_usual_flag_reaches_the_layer(layer):
    np.testing.assert_array_equal(outputs(layer), [ROWS, ROWS + 1])


def test_a_layer_without_a_flag_is_called_once():
    graphs = []

    def layer(x):
        graphs.append(v1.get_default_graph())
        return x + 1

    assert found(layer).flag.parameter == ""
    with tf.Graph().as_default() as graph:
        lone_graph(layer, (3,), decay=0.8, epsilon=0.25)
    assert graphs.count(graph) == 1
    np.testing.assert_array_equal(outputs(layer), [ROWS + 1] * 2)


def test_a_scope_of_the_layer_s_own_is_not_opened_twice():
    def named(x, training, name="bn"):
        with v1.variable_scope(name, reuse=v1.AUTO_REUSE):
            offset = variable("offset", 3)
        return x if training else x + offset

    def ignoring(x, training, name="bn"):
        offset = variable("offset", 3)
        return x if training else x + offset

    for layer in (named, ignoring):
        with tf.Graph().as_default():
            made = lone_graph(layer, (3,), decay=0.8, epsilon=0.25).layers[LAYER]
            assert [v.name for call in (0, 1, 3) for v in made.born[call]] == [f"{LAYER}/offset:0"], layer.__name__


def test_a_class_that_is_given_its_inputs_keeps_its_outputs():
    class Layer:
        def __init__(self, inputs, is_training):
            self.outputs = inputs if is_training else inputs + 1

    assert found(Layer).kind == "function"
    np.testing.assert_array_equal(outputs(Layer), [ROWS, ROWS + 1])


@pytest.mark.parametrize("method", ["forward", "normalize", "apply"])
def test_an_object_that_cannot_be_called_has_a_method(method):
    thing = type("Layer", (), {method: lambda self, x: (method, x)})()
    assert call_of(thing)(3) == (method, 3)


def test_an_object_with_no_such_method_is_refused():
    with pytest.raises(UserError, match=r"^variant\._target_ made Layer, which cannot be called\. Give it a __call__"):
        call_of(type("Layer", (), {})())


def test_a_keras_layer_that_is_made_already_is_refused():
    with pytest.raises(UserError, match=r"is one Keras layer, and a network needs one for each place\."):
        list(ways(tf.keras.layers.BatchNormalization(), PLACE))
