"""A user's layer as the graph needs it: what it returned, which variables are its own, and its own hooks."""

import numpy as np
import pytest
import tensorflow as tf

from bnexp.diagnosis.audit import audit
from bnexp.engine.single_layer import LAYER, lone_graph
from bnexp.errors import UserError
from bnexp.graph.build import build_graph
from bnexp.graph.layer import layer_maker, taken_by, updates_left

v1 = tf.compat.v1

ROWS = np.float32([[1, 2, 3], [4, 6, 8]])


@pytest.fixture(autouse=True)
def graph():
    """A tf.Graph of its own for each test."""
    with tf.Graph().as_default() as current:
        yield current


def alone(factory, shape=(3,)):
    return lone_graph(factory, shape, decay=0.9, epsilon=1e-3)


def two(factory, **options):
    """Builds a network of two layers, of as many channels each."""

    def network(inputs, *, batch_norm, num_classes, seed):
        return batch_norm(batch_norm(inputs, "first"), "second")

    def loss(outputs, labels):
        return v1.get_variable("anchor", [], initializer=v1.ones_initializer()) * tf.reduce_sum(outputs)

    sizes = {"example_shape": (3,), "num_classes": 3, "seed": 0, "loss_of": loss}
    make = layer_maker(factory, decay=0.9, epsilon=1e-3, **options)
    return build_graph(network, make, v1.train.GradientDescentOptimizer(0.0), **sizes)


def averages(x, training, name="bn", reuse=v1.AUTO_REUSE):
    """A right layer, whose variables are in the scope of a name."""
    with v1.variable_scope(name, reuse=reuse):
        mean = v1.get_variable("mean", [x.shape[-1]], initializer=v1.zeros_initializer(), trainable=False)
        variance = v1.get_variable("var", [x.shape[-1]], initializer=v1.ones_initializer(), trainable=False)
    if not training:
        return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)
    moments = tf.nn.moments(x, [0])
    updates = [v.assign(0.9 * v + 0.1 * m) for v, m in zip((mean, variance), moments, strict=True)]
    with tf.control_dependencies(updates):
        return tf.nn.batch_normalization(x, *moments, None, None, 1e-3)


@pytest.mark.parametrize(
    "returned", [lambda x: (x, "more"), lambda x: [x], lambda x: type("Out", (), {"outputs": x}), lambda x: x + 0]
)
def test_the_outputs_are_found_in_what_is_returned(returned):
    with v1.Session() as session:
        outputs = alone(lambda x, training: returned(x if training else x + 1)).inference.outputs["outputs"]
        np.testing.assert_array_equal(session.run(outputs, {"inputs:0": ROWS}), ROWS + 1)


def test_what_is_no_tensor_is_refused():
    with pytest.raises(UserError, match=r"returned NoneType, and not the normalised inputs\. Let it return a tensor"):
        alone(lambda x, training: None)


def test_another_shape_is_refused():
    with pytest.raises(UserError, match=r"returned \(None,\) for inputs \(None, 3\)\. A batch norm keeps the shape"):
        alone(lambda x, training: x[:, 0])


def test_a_shape_that_got_lost_is_put_back():
    def layer(x, training):
        return tf.reshape(x, tf.shape(x) + tf.cast(training, tf.int32) * 0)

    assert alone(layer, (2, 2, 3)).inference.outputs["outputs"].shape.as_list() == [None, 2, 2, 3]


def test_variables_are_told_by_the_call_that_made_them():
    class Layer:
        def __init__(self, size):
            self.gamma = tf.Variable(tf.ones([size]), name="gamma")

        def __call__(self, x, training):
            with v1.variable_scope("own", reuse=v1.AUTO_REUSE):
                offset = v1.get_variable("offset", [3], initializer=v1.zeros_initializer())
                if not training:
                    offset = offset + v1.get_variable("late", [3], initializer=v1.zeros_initializer())
            return x * self.gamma + offset

        def get_update_ops(self):
            return tf.Variable(0.0, name="counted").assign_add(1.0)

    made = alone(Layer).layers[LAYER]
    names = {call: [v.name.removesuffix(":0") for v in variables] for call, variables in made.born.items()}
    assert names == {0: ["gamma"], 1: [f"{LAYER}/own/offset"], 2: ["counted"], 3: [f"{LAYER}/own/late"]}


def test_an_optimizer_s_slots_are_no_variables_of_the_layer():
    def network(inputs, *, batch_norm, num_classes, seed):
        return batch_norm(inputs, "first")

    def layer(x, training):
        beta = v1.get_variable("beta", [3], initializer=v1.zeros_initializer())
        return x + beta if training else x + 2 * beta

    sizes = {"example_shape": (3,), "num_classes": 3, "seed": 0}
    made = build_graph(network, layer_maker(layer), v1.train.AdamOptimizer(), **sizes).layers["first"]
    assert [v.name for variables in made.born.values() for v in variables] == ["first/beta:0"]


def test_decay_and_epsilon_that_reach_the_layer():
    assert taken_by(alone(lambda x, training, bn_decay=0.9, eps=1e-3: x).layers[LAYER]) == {"decay", "epsilon"}


def test_a_momentum_of_the_new_batch_s_weight_is_no_decay_that_reaches_it():
    assert taken_by(alone(lambda x, training, momentum=0.1: x).layers[LAYER]) == frozenset()


def test_a_layer_keeps_its_own_variables_alone():
    layers = two(averages).layers
    for name, layer in layers.items():
        assert (layer.moving_mean.name, layer.moving_variance.name) == (f"{name}/mean:0", f"{name}/var:0")
        assert [v.name for variables in layer.born.values() for v in variables] == [f"{name}/mean:0", f"{name}/var:0"]


def test_two_layers_that_share_none_are_not_said_to_share():
    assert audit(two(averages)) == []


def test_two_layers_that_share_are_said_to_share():
    def shared(x, training):
        # a scope that is opened by its full name lies in no other
        scope = v1.VariableScope(v1.AUTO_REUSE, name="one_for_all")
        with v1.variable_scope(scope, auxiliary_name_scope=False):
            return averages(x, training, name="bn")

    graph = two(shared)
    assert {layer.moving_mean.name for layer in graph.layers.values()} == {"one_for_all/bn/mean:0"}
    findings = [finding for finding in audit(graph) if finding.check == "shared_statistics"]
    assert [(finding.layer, finding.op) for finding in findings] == [
        ("second", "one_for_all/bn/mean"),
        ("second", "one_for_all/bn/var"),
    ]
    assert findings[0].sentence.startswith("first and second share one_for_all/bn/mean:0")


def test_a_class_of_each_layer_s_own_shares_none():
    class Layer:
        def __init__(self, num_features):
            self.mean = tf.Variable(tf.zeros([num_features]), trainable=False)
            self.var = tf.Variable(tf.ones([num_features]), trainable=False)

        def __call__(self, x, training):
            if not training:
                return tf.nn.batch_normalization(x, self.mean, self.var, None, None, 1e-3)
            mean, var = tf.nn.moments(x, [0])
            pairs = (self.mean, mean), (self.var, var)
            with tf.control_dependencies([v.assign(0.9 * v + 0.1 * m) for v, m in pairs]):
                return tf.nn.batch_normalization(x, mean, var, None, None, 1e-3)

    graph = two(Layer)
    first, second = graph.layers.values()
    assert first.moving_mean is first.thing.mean
    assert second.moving_variance is second.thing.var
    assert audit(graph) == []


def test_where_updates_were_left_is_told_once():
    def layer(x, training):
        count = v1.get_variable("count", [], initializer=v1.zeros_initializer(), trainable=False)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, count.assign_add(1.0))
        return x + 0 if training else x + 1

    assert updates_left(two(layer)) == ["the collection UPDATE_OPS"]


def test_the_user_s_exception_in_the_second_layer_is_the_user_s():
    def layer(x, training):
        if "second" in v1.get_variable_scope().name:
            raise ValueError("not twice")
        return x if training else x + 1

    with pytest.raises(UserError, match="ValueError: not twice\n"):
        two(layer)
