"""What is peculiar to `slim_train_op`: the updates stand before the train op's loss, not before the layer's output."""

import numpy as np

from bnexp.engine.single_layer import lone_layer, run_calls
from bnexp.variant.slim_train_op import BatchNorm


def test_only_the_barred_loss_moves_the_statistics():
    alone = lone_layer(BatchNorm, (2,), engine="session", decay=0.9, epsilon=1e-3)
    graph, rows = alone.graph, np.float32([[[1.0, 2.0], [5.0, 10.0]]])
    # what a script watches beside the train op comes from before the barrier
    watched = alone.program(graph.train.only(["accuracy"]), calls=None)
    watched([rows[0], np.zeros(2, np.int32)], np.int32([[0, 1]]))
    assert not alone.state()["bn/moving_mean"].any()
    run_calls(alone, graph.train, rows)
    np.testing.assert_allclose(alone.state()["bn/moving_mean"], [0.3, 0.6], rtol=1e-6)
