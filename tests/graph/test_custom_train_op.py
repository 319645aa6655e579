"""Who runs the updates of custom layers: wherever they are left they are run once a step, unless the run says no."""

import numpy as np
import pytest
import tensorflow as tf
from small import images, rows, small_model

from bnexp.engine.single_layer import LAYER, lone_graph, lone_layer, run_calls
from bnexp.errors import UserError
from bnexp.graph import Of
from bnexp.graph.custom.train_op import left_by, left_in_collections
from bnexp.graph.layer import updates_left
from bnexp.statistics.reference import batch_mean, ema

v1 = tf.compat.v1

DECAY = 0.75
BATCHES = np.float32(np.random.default_rng(3).normal([1.0, -2.0, 30.0], [1.0, 0.5, 3.0], [4, 6, 3]))
AVERAGED = ema(np.array([batch_mean(batch) for batch in BATCHES]), 0.0, DECAY)
NEVER = np.zeros_like(AVERAGED)


def normalised(x, mean, variance):
    return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)


class Layer:
    """Makes its updates in training and leaves them where a subclass says."""

    def __call__(self, x, training):
        with v1.variable_scope("own", reuse=v1.AUTO_REUSE):
            self.mean = v1.get_variable("mean", [3], initializer=v1.zeros_initializer(), trainable=False)
            self.var = v1.get_variable("var", [3], initializer=v1.ones_initializer(), trainable=False)
        if not training:
            return normalised(x, self.mean, self.var)
        moments = tf.nn.moments(x, [0])
        pairs = zip((self.mean, self.var), moments, strict=True)
        found = self.leave([v.assign(DECAY * v + (1 - DECAY) * m) for v, m in pairs])
        outputs = normalised(x, *moments)
        return outputs if found is None else (outputs, found)

    def leave(self, updates):
        """Keeps them nowhere."""


class InUpdateOps(Layer):
    def leave(self, updates):
        for update in updates:
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)


class InTheFirstSlimS(Layer):
    def leave(self, updates):
        v1.add_to_collection("_update_ops_", tf.group(*updates))


class InOneOfItsOwn(Layer):
    def leave(self, updates):
        for update in updates:
            v1.add_to_collection("bn_updates_of_mine", update)


class Returned(Layer):
    def leave(self, updates):
        return tf.group(*updates)


class ReturnedAsAList(Layer):
    def leave(self, updates):
        return updates


class AsUpdates(Layer):
    def leave(self, updates):
        self.updates = updates


class AsADict(Layer):
    def leave(self, updates):
        self.update_ops = dict(zip(("mean", "var"), updates, strict=True))


class ByAnAssigner(Layer):
    def leave(self, updates):
        self._kept = tf.group(*updates)

    def get_assigner(self):
        return self._kept


def moving_means(factory, updates="auto"):
    engine = lone_layer(factory, (3,), engine="session", decay=0.9, epsilon=1e-3, updates=updates)
    return run_calls(engine, engine.graph.train, BATCHES)[Of(LAYER, "moving_mean")], updates_left(engine.graph)


@pytest.mark.parametrize(
    ("factory", "where"),
    [
        (InUpdateOps, "the collection UPDATE_OPS"),
        (InTheFirstSlimS, "the collection _update_ops_"),
        (Returned, "what its call returns"),
        (ReturnedAsAList, "what its call returns"),
        (AsUpdates, "its attribute updates"),
        (AsADict, "its attribute update_ops"),
        (ByAnAssigner, "its get_assigner()"),
    ],
)
def test_updates_are_run_once_a_step_wherever_they_are_left(factory, where):
    found, left = moving_means(factory)
    np.testing.assert_allclose(found, AVERAGED, rtol=1e-5)
    assert left == [where]


@pytest.mark.parametrize("factory", [Layer, InOneOfItsOwn])
def test_updates_that_are_left_nowhere_usual_are_not_run(factory):
    found, left = moving_means(factory)
    np.testing.assert_array_equal(found, NEVER)
    assert left == []


def test_updates_in_a_collection_that_the_run_names_are_run():
    found, left = moving_means(InOneOfItsOwn, updates="bn_updates_of_mine")
    np.testing.assert_allclose(found, AVERAGED, rtol=1e-5)
    assert left == ["the collection bn_updates_of_mine"]


def test_the_word_update_ops_names_tensorflow_s_collection():
    np.testing.assert_allclose(moving_means(InUpdateOps, updates="update_ops")[0], AVERAGED, rtol=1e-5)


@pytest.mark.parametrize("factory", [InUpdateOps, AsUpdates, Returned])
def test_minimize_alone_runs_none(factory):
    found, left = moving_means(factory, updates="minimize")
    np.testing.assert_array_equal(found, NEVER)
    assert left == []


@pytest.mark.parametrize(("factory", "updates"), [(InOneOfItsOwn, "update_ops"), (InUpdateOps, "nothing_here")])
def test_a_collection_with_nothing_in_it_is_refused(factory, updates):
    with pytest.raises(UserError) as caught:
        moving_means(factory, updates=updates)
    assert str(caught.value).startswith(
        f"updates={updates}: the layers have left nothing in the collection {updates}. "
    )


def test_what_is_left_in_two_places_is_one_update_if_it_is_one_op():
    class Both(AsUpdates, InUpdateOps):
        def leave(self, updates):
            AsUpdates.leave(self, updates)
            InUpdateOps.leave(self, updates)

    found, left = moving_means(Both)
    np.testing.assert_allclose(found, AVERAGED, rtol=1e-5)
    assert left == ["the collection UPDATE_OPS", "its attribute updates"]


def test_the_updates_of_both_layers_of_a_network_are_run():
    """A collection is the graph's; attributes are each layer's own."""
    dataset = images()
    model = small_model(dataset, "variant._target_=test_custom_train_op.AsUpdates", "network.widths=[3,3]")
    steps = model.train(dataset.x_train, dataset.y_train, rows(dataset, 3), calls=None)
    for layer in ("bn1", "bn2"):
        expected = ema(steps.layers[layer].batch_mean.astype(np.float64), 0.0, DECAY)
        np.testing.assert_allclose(steps.layers[layer].moving_mean, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "parameters", ["optimizer", "optimizer, loss", "optimizer, loss, layers", "optimizer, loss, layers=None, more=0"]
)
def test_an_own_train_op_is_given_as_much_as_it_takes(parameters):
    told = {}
    space = {"told": told, "tf": tf}
    exec(f"def train_op({parameters}):\n    told.update(locals())\n    return tf.no_op(name='own_step')", space)
    factory = type("Own", (Layer,), {"train_op": staticmethod(space["train_op"])})
    with tf.Graph().as_default() as graph:
        lone_graph(factory, (3,), decay=0.9, epsilon=1e-3)
        names = {operation.name for operation in graph.get_operations()}
    assert "own_step" in names
    assert isinstance(told["optimizer"], v1.train.Optimizer)
    assert list(told)[:3] == [name.split("=")[0] for name in parameters.split(", ")][:3]
    if "loss" in told:
        assert told["loss"].shape == []
    if "layers" in told:
        assert [type(layer) for layer in told["layers"]] == [factory]


def test_an_own_train_op_is_what_a_step_runs_and_nothing_else():
    class Own(AsUpdates):
        def train_op(self, optimizer, loss):
            with tf.control_dependencies(self.updates[1:]):
                return [optimizer.minimize(loss)]

    found, left = moving_means(Own)
    np.testing.assert_array_equal(found, NEVER)
    assert left == []


def test_an_own_train_op_is_not_asked_where_the_run_says_who_runs_the_updates():
    class Own(AsUpdates):
        def train_op(self, optimizer):
            raise AssertionError

    np.testing.assert_array_equal(moving_means(Own, updates="minimize")[0], NEVER)


def test_an_own_train_op_that_returns_no_op_is_refused():
    class Own(Layer):
        def train_op(self, optimizer):
            return None

    with pytest.raises(UserError, match=r"^train_op of your own layer returned NoneType\. Let it return the op"):
        moving_means(Own)


def test_what_writes_nothing_is_no_update():
    with tf.Graph().as_default() as graph:
        x = tf.Variable(1.0)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, tf.identity(x))
        thing = type("Thing", (), {"updates": [x + 1.0, 3, None, "words"], "update_op": lambda self, x: x})()
        assert left_in_collections(graph, [v1.GraphKeys.UPDATE_OPS]) == []
        assert left_by(thing, [tf.no_op()], graph) == []


def test_an_op_of_another_graph_is_no_update():
    with tf.Graph().as_default():
        elsewhere = tf.Variable(1.0).assign_add(1.0)
    with tf.Graph().as_default() as graph:
        here = tf.Variable(1.0).assign_add(1.0)
        (left,) = left_by(None, [elsewhere, here], graph)
    assert [op.graph for op in left.ops] == [graph]
