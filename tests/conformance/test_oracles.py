"""Implementations that no one here wrote: variants are held against them.

Keras comes with TensorFlow, tf-keras with the tests; its process must be told to be Keras 2. PyTorch comes with
`pip install -e '.[oracles]'`. Where conventions differ the difference is asserted, not tolerated.
"""

import json
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from bnexp.probe import trace_layer

DECAY, EPSILON = 0.9, 1e-3

# float32 near 40 is good to 4e-6, a hundred-thousandth of the spreads below; outputs divide by a spread of 0.5
NEAR = {"rtol": 2e-5, "atol": 2e-5}


def batches(rank):
    shape = [5, 8, 3] if rank == 2 else [5, 4, 3, 2, 3]
    draws = np.random.default_rng(rank).normal([-2.0, 0.5, 40.0], [0.5, 1.0, 3.0], shape).astype(np.float32)
    return draws, draws[:3, :1] + np.float32(0.25)


@pytest.mark.parametrize("rank", [2, 4])
@pytest.mark.parametrize("variant", ["keras", "control_deps"])
def test_keras_3_run_eagerly(variant, rank):
    training, singles = batches(rank)
    trace = trace_layer(variant, training, singles, decay=DECAY, epsilon=EPSILON, engine="session")
    layer = tf.keras.layers.BatchNormalization(momentum=DECAY, epsilon=EPSILON)
    for step, batch in enumerate(training):
        np.testing.assert_allclose(trace.train_outputs[step], layer(batch, training=True), **NEAR)
        np.testing.assert_allclose(trace.moving_mean[step], layer.moving_mean, **NEAR)
        np.testing.assert_allclose(trace.moving_variance[step], layer.moving_variance, **NEAR)
    for output, single in zip(trace.inference_outputs, singles, strict=True):
        np.testing.assert_allclose(output, layer(single, training=False), **NEAR)


@pytest.mark.parametrize("rank", [2, 4])
def test_pytorch_whose_momentum_is_1_minus_decay(rank):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[oracles]'")
    training, singles = batches(rank)
    # its running variance is Bessel-corrected for every rank, and so is the fused kernel's
    trace = trace_layer("fused", training, singles, decay=DECAY, epsilon=EPSILON)
    layer = (torch.nn.BatchNorm1d if rank == 2 else torch.nn.BatchNorm2d)(3, eps=EPSILON, momentum=1 - DECAY)

    def called(batch):
        tensor = torch.from_numpy(batch if rank == 2 else np.moveaxis(batch, -1, 1).copy())
        output = layer(tensor).detach().numpy()
        return output if rank == 2 else np.moveaxis(output, 1, -1)

    for step, batch in enumerate(training):
        np.testing.assert_allclose(trace.train_outputs[step], called(batch), **NEAR)
        np.testing.assert_allclose(trace.moving_mean[step], layer.running_mean.numpy(), **NEAR)
        np.testing.assert_allclose(trace.moving_variance[step], layer.running_var.numpy(), **NEAR)
    layer.eval()
    for output, single in zip(trace.inference_outputs, singles, strict=True):
        np.testing.assert_allclose(output, called(single), **NEAR)

    biased = trace_layer("control_deps", training, singles, decay=DECAY, epsilon=EPSILON)
    values = training[0].size // 3
    # the weight of the batches in both moving variances carries the whole difference
    data = DECAY**5
    np.testing.assert_allclose(
        trace.moving_variance[4] - data, (biased.moving_variance[4] - data) * values / (values - 1), rtol=1e-4
    )


# a process of its own: Keras 2 must be chosen before TensorFlow is imported
TF_KERAS = """
import json, sys
import numpy as np, tensorflow as tf
v1 = tf.compat.v1
given = json.load(sys.stdin)

def seen(training, singles):
    with tf.Graph().as_default(), v1.Session() as session:
        x, flag = v1.placeholder(tf.float32, [None, *training.shape[2:]]), v1.placeholder(tf.bool, [])
        y = v1.layers.batch_normalization(x, momentum=given["decay"], epsilon=given["epsilon"], training=flag, name="bn")
        moving = [next(v for v in v1.global_variables() if name in v.name) for name in ("moving_mean", "moving_variance")]
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        session.run(v1.global_variables_initializer())
        found = {"updates": len(updates), "outputs": [], "mean": [], "variance": [], "singles": []}
        for batch in training:
            output, _ = session.run([y, updates], {x: batch, flag: True})
            mean, variance = session.run(moving)
            for name, value in (("outputs", output), ("mean", mean), ("variance", variance)):
                found[name].append(value.tolist())
        for single in singles:
            found["singles"].append(session.run(y, {x: single, flag: False}).tolist())
        return found

print(json.dumps([seen(*(np.array(part, np.float32) for part in batches)) for batches in given["batches"]]))
"""

RANKS = [2, 4]


@cache
def tf_layers():
    """What tf.layers.batch_normalization made of the batches of each rank."""
    given = {"batches": [[part.tolist() for part in batches(rank)] for rank in RANKS]}
    process = subprocess.run(
        [sys.executable, "-c", TF_KERAS],
        input=json.dumps(given | {"decay": DECAY, "epsilon": EPSILON}),
        env=os.environ | {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return dict(zip(RANKS, json.loads(process.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("rank", RANKS)
def test_tf_layers_itself(rank):
    training, singles = batches(rank)
    trace = trace_layer("update_ops", training, singles, decay=DECAY, epsilon=EPSILON)
    found = tf_layers()[rank]
    assert found["updates"] == 2
    # the fused kernel of rank 4 takes E[x**2] - E[x]**2 of rows that lie 13 spreads from 0: two digits fewer
    near = NEAR if rank == 2 else {"rtol": 2e-4, "atol": 2e-4}
    np.testing.assert_allclose(trace.train_outputs, found["outputs"], **near)
    np.testing.assert_allclose(trace.moving_mean[:5], found["mean"], **near)
    np.testing.assert_allclose(trace.moving_variance[:5], found["variance"], **near)
    np.testing.assert_allclose(trace.inference_outputs, found["singles"], **near)
