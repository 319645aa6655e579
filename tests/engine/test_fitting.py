"""A custom layer runs in the engine that was asked for if it can, and in a session if only that can run it."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from small import ONE_LAYER, images, rows, small_model

from bnexp.engine.compiled import CompiledEngine
from bnexp.engine.fitting import fitting_engine
from bnexp.engine.session import SessionEngine
from bnexp.engine.single_layer import lone_graph
from bnexp.variant.update_ops import BatchNorm

v1 = tf.compat.v1


def fitted(variant, name="compiled", shape=(3,)):
    build = partial(lone_graph, variant, shape, decay=0.9, epsilon=1e-3)
    return fitting_engine(name, variant, build, "/CPU:0")


def centred(x, training):
    """Right, and of ops that compile."""
    return x - tf.reduce_mean(x, 0) if training else x + 0


def by_python(x, training):
    """Computes in Python, which no compiled loop can."""
    added = v1.py_func(lambda: np.float32(1.0), [], tf.float32)
    return x + tf.ensure_shape(added, []) if training else x


def other_in_a_session(x, training):
    """Looks where it is, and adds something."""
    return x + (0.0 if v1.get_default_graph().building_function else 1.0) if training else x + 0


def test_a_layer_that_compiles_stays():
    engine, line = fitted(centred)
    assert (type(engine), line) == (CompiledEngine, "")


def test_a_session_that_was_asked_for_is_no_news():
    engine, line = fitted(by_python, name="session")
    assert (type(engine), line) == (SessionEngine, "")


def test_a_layer_that_only_a_session_can_run_gets_one_and_a_line_that_says_so():
    engine, line = fitted(by_python)
    assert type(engine) is SessionEngine
    assert line.startswith("engine=session: your layer does not run in compiled loops (")
    assert "PyFunc" in line
    assert "\n" not in line


def test_a_layer_that_does_something_else_when_compiled_gets_a_session():
    engine, line = fitted(other_in_a_session)
    assert type(engine) is SessionEngine
    assert line == "engine=session: your layer does not run in compiled loops (its outputs differs there)"


def test_statistics_that_differ_count_as_well():
    def layer(x, training):
        mean = v1.get_variable("mean", [x.shape[-1]], initializer=v1.zeros_initializer(), trainable=False)
        var = v1.get_variable("var", [x.shape[-1]], initializer=v1.ones_initializer(), trainable=False)
        step = 1.0 if v1.get_default_graph().building_function else 2.0
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, mean.assign_add(tf.fill(mean.shape, step)))
        return x + 0 if training else tf.nn.batch_normalization(x, mean, var, None, None, 1e-3)

    line = fitted(layer)[1]
    assert line.endswith(" (its moving_mean differs there)")


def test_images_are_tried_with_images():
    ranks = []

    def layer(x, training):
        ranks.append(len(x.shape))
        return x + 0 if training else x + 1

    assert fitted(layer, shape=(2, 2, 3))[1] == ""
    assert set(ranks) == {4}


@pytest.mark.parametrize("name", ["compiled", "session"])
def test_a_variant_of_the_zoo_is_never_tried(name):
    called = []

    class Counted(BatchNorm):
        """Takes a tensor for its flag, so that a graph calls it once."""

        def __call__(self, inputs, training):
            called.append(inputs)
            return super().__call__(inputs, training)

    engine, line = fitted(partial(Counted, decay=0.9, epsilon=1e-3), name=name)
    assert type(engine) is {"compiled": CompiledEngine, "session": SessionEngine}[name]
    assert line == ""
    assert len(called) == 1


def test_a_variant_of_the_zoo_that_fails_is_not_given_another_engine():
    class Fails(BatchNorm):
        def __call__(self, inputs, training):
            raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        fitted(partial(Fails, decay=0.9, epsilon=1e-3))


def test_the_line_reaches_the_model_which_trains():
    dataset = images()
    model = small_model(dataset, "variant._target_=test_fitting.by_python", ONE_LAYER["mlp"])
    assert model.note.startswith("engine=session: your layer does not run in compiled loops (")
    steps = model.train(dataset.x_train, dataset.y_train, rows(dataset, 2), calls=2)
    assert np.all(np.isfinite(steps.losses))
    assert small_model(dataset, ONE_LAYER["mlp"]).note == ""
