"""What is peculiar to `tflearn`: one mode variable for all layers, which is saved with the model."""

import numpy as np
import pytest
import tensorflow as tf

from bnexp.engine.single_layer import lone_layer, run_calls
from bnexp.graph.build import build_graph
from bnexp.graph.layer import layer_maker, variant_factory
from bnexp.variant.tflearn import BatchNorm

v1 = tf.compat.v1


@pytest.mark.parametrize("name", ["tflearn", "tflearn_untrained_flag"])
def test_layers_share_one_mode_variable(name):
    def network(inputs, *, batch_norm, num_classes, seed):
        return batch_norm(batch_norm(inputs, "first"), "second")

    with tf.Graph().as_default():
        make = layer_maker(variant_factory(name, decay=0.9, epsilon=1e-3))
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        build_graph(network, make, optimizer, example_shape=(2,), num_classes=2, seed=0)
        flags = [variable for variable in v1.global_variables() if variable.dtype.base_dtype == tf.bool]
        assert len(flags) == 1
        assert flags[0].name.endswith("is_training:0")


def test_the_mode_stays_where_the_last_call_left_it():
    """A checkpoint written in the middle of training wakes up in training mode."""
    alone = lone_layer(BatchNorm, (2,), engine="session", decay=0.9, epsilon=1e-3)
    rows = np.ones([1, 3, 2], np.float32)
    (mode,) = [name for name, value in alone.state().items() if value.dtype == bool]
    assert not alone.state()[mode]
    run_calls(alone, alone.graph.train, rows)
    assert alone.state()[mode]
    run_calls(alone, alone.graph.inference, rows)
    assert not alone.state()[mode]
