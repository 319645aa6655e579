"""What is peculiar to `slim_detached`: the copy lost its collection and made its variables anew in each tower."""

import tensorflow as tf

from bnexp.variant.slim import UPDATE_OPS_COLLECTION
from bnexp.variant.slim import BatchNorm as Slim
from bnexp.variant.slim_detached import BatchNorm

v1 = tf.compat.v1


def built(layer):
    with tf.Graph().as_default() as graph:
        made = layer(name="bn", decay=0.9, epsilon=1e-3)
        for training in (True, False):
            made(v1.placeholder(tf.float32, [None, 2]), training)
        collections = (UPDATE_OPS_COLLECTION, v1.GraphKeys.UPDATE_OPS)
        return [v.name for v in v1.global_variables()], [len(graph.get_collection(name)) for name in collections]


def test_the_two_lost_lines():
    names = ["gamma", "beta", "moving_mean", "moving_variance"]
    assert built(Slim) == ([f"bn/{name}:0" for name in names], [2, 0])
    detached, collected = built(BatchNorm)
    assert collected == [0, 0]
    assert sorted(detached) == sorted(f"{scope}/{name}:0" for scope in ("bn", "bn_1") for name in names)
