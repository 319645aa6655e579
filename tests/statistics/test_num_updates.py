"""reference.ema_num_updates is tf.train.ExponentialMovingAverage with num_updates, step by step."""

import numpy as np
import pytest
import tensorflow as tf

from bnexp.statistics.reference import ema, ema_num_updates

v1 = tf.compat.v1

VALUES = np.random.default_rng(6).normal([3.0, -40.0], [1.0, 5.0], [12, 2])


def by_tensorflow(decay, start, first):
    """Averages VALUES in a Session, counting the updates from `first`."""
    with tf.Graph().as_default(), v1.Session() as session:
        value = v1.placeholder(tf.float64, [2])
        last = tf.Variable(np.full(2, start), trainable=False)
        count = tf.Variable(first, trainable=False, dtype=tf.float64)
        average = v1.train.ExponentialMovingAverage(decay, num_updates=count)
        with tf.control_dependencies([last.assign(value)]):
            applied = average.apply([last])
        with tf.control_dependencies([applied]):
            step = count.assign_add(1.0)
        session.run(v1.global_variables_initializer())
        found = []
        for one in VALUES:
            session.run(step, {value: one})
            found.append(session.run(average.average(last)))
        return np.array(found)


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize("first", [0, 1, 100])
def test_it_is_tensorflow_s_average(decay, start, first):
    # TensorFlow computes the decay in float32
    np.testing.assert_allclose(
        ema_num_updates(VALUES, start, decay, first), by_tensorflow(decay, start, first), rtol=1e-5
    )


def test_by_hand():
    # 1/10, then 2/11, then the decay asked for
    expected = [0.1 * 1 + 0.9 * 2, 2 / 11 * 1.9 + 9 / 11 * 4]
    expected.append(0.2 * expected[1] + 0.8 * 6)
    np.testing.assert_allclose(ema_num_updates(np.array([[2.0], [4.0], [6.0]]), 1.0, 0.2)[:, 0], expected, rtol=1e-14)


def test_after_many_updates_it_is_the_plain_average():
    np.testing.assert_array_equal(ema_num_updates(VALUES, 1.0, 0.9, first=81), ema(VALUES, 1.0, 0.9))
    assert np.all(ema_num_updates(VALUES, 1.0, 0.9, first=70) != ema(VALUES, 1.0, 0.9))
