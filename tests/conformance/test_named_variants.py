"""The five right ways of the documents train one and the same network: what differs is how their statistics move."""

import numpy as np
import pytest
from small import trained

NAMED = ("contrib", "slim", "control_deps", "update_ops", "ema")


@pytest.mark.parametrize("engine", ["compiled", "session"])
@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("variant", NAMED[1:])
def test_training_is_the_same(variant, network, engine):
    _, first = trained(NAMED[0], network, engine)
    _, other = trained(variant, network, engine)
    # one kernel family and one order of the sums, so the same bits but where a compiler fuses differently: then the
    # last bit of a loss, 1.2e-7 of it, a few times over in six steps
    np.testing.assert_allclose(other.losses, first.losses, rtol=1e-6, atol=0)
    np.testing.assert_array_equal(other.accuracies, first.accuracies)
    for name in ("bn1/batch_mean", "bn1/batch_variance"):
        scale = np.abs(first.statistics[name]).max()
        np.testing.assert_allclose(other.statistics[name], first.statistics[name], atol=1e-6 * scale, rtol=0)


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_another_layer_trains_another_network(network):
    """The comparison can tell: losses of unlike networks lie apart by far more than its tolerance."""
    _, first = trained("update_ops", network, "session")
    _, other = trained("identity", network, "session")
    assert np.abs(first.losses - other.losses).min() > 1e-4


@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("variant", NAMED)
def test_the_moving_statistics_are_the_average_of_the_batches(variant, network):
    """Each keeps its own books, and all come out as decay * moving + (1 - decay) * batch of the recorded moments."""
    _, steps = trained(variant, network, "compiled")
    mean, variance = np.zeros(1), np.ones(1)
    # tf.layers' rank 4 goes through the fused kernel, which averages Bessel-corrected variances of its 160 values
    factor = 160 / 159 if (variant, network) == ("update_ops", "cnn") else 1.0
    for step in range(6):
        mean = 0.9 * mean + 0.1 * np.float64(steps.statistics["bn1/batch_mean"][step])
        variance = 0.9 * variance + 0.1 * factor * np.float64(steps.statistics["bn1/batch_variance"][step])
        # 1 - 0.9 itself is rounded, and each step rounds twice: 3 * 6e-8 of the size, six times over
        size = np.abs(mean).max()
        np.testing.assert_allclose(steps.statistics["bn1/moving_mean"][step], mean, rtol=0, atol=2e-6 * size)
        np.testing.assert_allclose(steps.statistics["bn1/moving_variance"][step], variance, rtol=2e-6)
