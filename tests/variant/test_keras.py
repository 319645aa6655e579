"""What is peculiar to `keras`: why its call is wrapped in a tf.function."""

import numpy as np
import tensorflow as tf

from bnexp.variant.keras import BatchNorm

v1 = tf.compat.v1


def test_in_a_bare_graph_the_layers_updates_never_run():
    rows = np.float32([[1.0], [5.0]])
    moved = {}
    for wrapped in (False, True):
        with tf.Graph().as_default(), v1.Session() as session:
            inputs = v1.placeholder(tf.float32, [None, 1])
            made = BatchNorm(name="bn", decay=0.5, epsilon=1e-3)
            if wrapped:
                outputs = made(inputs, True)
            else:
                made._layer.build(inputs.shape)
                outputs = made._layer(inputs, training=True)
            session.run(v1.global_variables_initializer())
            session.run(outputs, {inputs: rows})
            moved[wrapped] = session.run([made._layer.moving_mean.value, made._layer.moving_variance.value])
    assert np.ravel(moved[False]).tolist() == [0, 1]
    np.testing.assert_allclose(np.ravel(moved[True]), [1.5, 2.5])
