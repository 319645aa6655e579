"""Lets random initialisers of a user's code draw by the run's seed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds TensorFlow in the current graph, Python and NumPy, and puts them back after the block.

    A layer may ask any of them, and where every op has to be deterministic TensorFlow refuses to draw without a seed.

    Args:
        seed: the run's seed.

    Example:
        >>> with tf.Graph().as_default(), seeded(0):
        ...     drawn = v1.get_variable("gamma", [3], initializer=v1.random_normal_initializer())
    """
    graph = v1.get_default_graph()
    before, python, numpy = graph.seed, random.getstate(), np.random.get_state()
    # besides the graph's, for the initial values that a wrapped function draws outside of itself. It is not put back,
    # for nothing else here draws by it
    with tf.init_scope():
        if tf.executing_eagerly():
            tf.random.set_seed(seed)
    graph.seed = seed
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        graph.seed = before
        random.setstate(python)
        np.random.set_state(numpy)
