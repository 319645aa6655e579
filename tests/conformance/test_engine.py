"""Whole networks in training: both engines take the same steps, and so do the five right ways of the documents.

What it takes to train in a compiled loop does not depend on the variant but on what its training is made of: that is
tried with one variant of each make.
"""

import numpy as np
import pytest
from makes import MAKES
from small import ONE_LAYER, rows, small_model, trained

from bnexp.graph.layer import layer_maker, variant_factory
from bnexp.statistics.layer_statistics import to_arrays

# float32 rounds by 6e-8, up as often as down. The longest sums of these networks have 160 terms (10 examples times 16
# positions), so a moment is off by about sqrt(160) * 6e-8 = 8e-7 of its terms' size, and a normalised value by that
# times mean/sd, which is below 5 here. Six gentle steps of sgd add up to six such errors in the weights: 6 * 5 * 8e-7.
TOLERANCE = 2.4e-5


def is_ordered(variant: str) -> bool:
    return layer_maker(variant_factory(variant, decay=0.9, epsilon=1e-3))("bn", (None, 4)).traits.ordered


# on images loops are ordinary ones of a Session's own kernels: what can differ is the order of reads and writes
TRAINED = [(variant, "mlp") for variant in MAKES]
TRAINED += [
    (variant, "cnn") for variant in ("control_deps", "update_ops", "cond", "ema", "zero_debias", "renorm", "keras")
]


@pytest.mark.parametrize(("variant", "network"), TRAINED)
def test_same_losses_and_statistics_step_by_step(variant, network):
    _, compiled = trained(variant, network, "compiled")
    _, session = trained(variant, network, "session")
    found, expected = (
        {"loss": steps.losses, "accuracy": steps.accuracies, **to_arrays(steps.layers)} for steps in (compiled, session)
    )
    assert found.keys() == expected.keys()
    if not is_ordered(variant):
        # where a variant leaves an order open, only what no race can reach must agree: the moments of the first batch,
        # before any statistic is read or any weight has moved
        expected = {name: array[:1] for name, array in expected.items() if "/batch_" in name}
        found = {name: found[name][:1] for name in expected}
    assert expected
    for name, array in expected.items():
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, atol=TOLERANCE * np.abs(array).max(), rtol=0, err_msg=name)


@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("engine", ["compiled", "session"])
def test_the_steps_can_tell(network, engine):
    """What is compared moves by far more than the tolerance from step to step, and from layer to layer."""
    _, steps = trained("update_ops", network, engine)
    assert np.abs(np.diff(steps.losses)).max() > 10 * TOLERANCE * steps.losses.max()
    for name, array in to_arrays(steps.layers).items():
        assert np.abs(np.diff(array, axis=0)).max() > 10 * TOLERANCE * np.abs(array).max(), name


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_recorded_batch_moments_are_those_of_the_batch(network):
    """Against NumPy, over the first step, whose weights are known."""
    dataset, steps = trained("update_ops", network, "compiled")
    state = small_model(dataset, ONE_LAYER[network], network=network).state()
    batch = np.float64(dataset.x_train[rows(dataset, 6)[0]])
    kernel = np.float64(next(value for name, value in state.items() if name.endswith("1/kernel")))
    if network == "mlp":
        hidden = batch.reshape(10, -1) @ kernel
    else:
        padded = np.pad(batch, [(0, 0), (1, 1), (1, 1), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # [10, 4, 4, channels, 3, 3]
        hidden = np.einsum("nhwcij,ijco->nhwo", windows, kernel)
    axes = tuple(range(hidden.ndim - 1))
    mean, variance = hidden.mean(axes), hidden.var(axes)
    # as TOLERANCE, for one step and in units of the hidden values
    size, recorded = np.abs(hidden).max(), steps.layers["bn1"]
    np.testing.assert_allclose(recorded.batch_mean[0], mean, atol=1e-5 * size, rtol=0)
    np.testing.assert_allclose(recorded.batch_variance[0], variance, atol=1e-5 * size**2, rtol=0)


# --- the five right ways of the documents: what differs is how their statistics move ------------------------------------

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
    for moment in ("batch_mean", "batch_variance"):
        one, another = (getattr(steps.layers["bn1"], moment) for steps in (first, other))
        np.testing.assert_allclose(another, one, atol=1e-6 * np.abs(one).max(), rtol=0)


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
    recorded = steps.layers["bn1"]
    mean, variance = np.zeros(1), np.ones(1)
    # tf.layers' rank 4 goes through the fused kernel, which averages Bessel-corrected variances of its 160 values
    factor = 160 / 159 if (variant, network) == ("update_ops", "cnn") else 1.0
    for step in range(6):
        mean = 0.9 * mean + 0.1 * np.float64(recorded.batch_mean[step])
        variance = 0.9 * variance + 0.1 * factor * np.float64(recorded.batch_variance[step])
        # 1 - 0.9 itself is rounded, and each step rounds twice: 3 * 6e-8 of the size, six times over
        size = np.abs(mean).max()
        np.testing.assert_allclose(recorded.moving_mean[step], mean, rtol=0, atol=2e-6 * size)
        np.testing.assert_allclose(recorded.moving_variance[step], variance, rtol=2e-6)
