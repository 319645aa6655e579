"""Both engines run the same graph: the compiled one must give what one Session.run a step gives, for every variant."""

import numpy as np
import pytest
from small import ONE_LAYER, names, rows, small_model, trained

from bnexp.layer import layer_maker, variant_factory

VARIANTS = names("variant")

# float32 rounds by 6e-8, up as often as down. The longest sums of these networks have 160 terms (10 examples times 16
# positions), so a moment is off by about sqrt(160) * 6e-8 = 8e-7 of its terms' size, and a normalised value by that
# times mean/sd, which is below 5 here. Six gentle steps of sgd add up to six such errors in the weights: 6 * 5 * 8e-7.
TOLERANCE = 2.4e-5


def is_ordered(variant: str) -> bool:
    return layer_maker(variant_factory(variant, decay=0.9, epsilon=1e-3))("bn").traits.ordered


@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_same_losses_and_statistics_step_by_step(variant, network):
    _, compiled = trained(variant, network, "compiled")
    _, session = trained(variant, network, "session")
    assert compiled.statistics.keys() == session.statistics.keys()
    series = {"loss": (compiled.losses, session.losses), "accuracy": (compiled.accuracies, session.accuracies)}
    series |= {name: (compiled.statistics[name], session.statistics[name]) for name in session.statistics}
    if not is_ordered(variant):
        # where a variant leaves an order open, only what no race can reach must agree: the moments of the first batch,
        # before any statistic is read or any weight has moved
        series = {name: (one[:1], other[:1]) for name, (one, other) in series.items() if "/batch_" in name}
    assert series
    for name, (one, other) in series.items():
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, atol=TOLERANCE * np.abs(other).max(), rtol=0, err_msg=name)


@pytest.mark.parametrize("network", ["mlp", "cnn"])
@pytest.mark.parametrize("engine", ["compiled", "session"])
def test_the_steps_can_tell(network, engine):
    """What is compared moves by far more than the tolerance from step to step, and from layer to layer."""
    _, steps = trained("update_ops", network, engine)
    assert np.abs(np.diff(steps.losses)).max() > 10 * TOLERANCE * steps.losses.max()
    for name, array in steps.statistics.items():
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
    size = np.abs(hidden).max()
    np.testing.assert_allclose(steps.statistics["bn1/batch_mean"][0], mean, atol=1e-5 * size, rtol=0)
    np.testing.assert_allclose(steps.statistics["bn1/batch_variance"][0], variance, atol=1e-5 * size**2, rtol=0)
