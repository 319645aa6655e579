"""What every final pass must keep; found by listing conf/final_pass, so that a new one joins by itself."""

from functools import cache
from importlib import import_module

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from small import images, names, rows, small_model

from bnexp.config.paths import CONF_DIR
from bnexp.final_pass import _relative, residuals, shuffled
from bnexp.statistics.moments import Moments

NAMES = names("final_pass")
NETWORKS = names("network")

# those that measure whole batches in batch mode give what the cut into batches gives; the others must not depend on it
BATCHWISE = {"precise_bn", "paper"}
DATASET = images(62)  # no multiple of any batch size here


def final_pass(name):
    return instantiate(OmegaConf.load(CONF_DIR / "final_pass" / f"{name}.yaml"))


@cache
def trained(network, variant="update_ops"):
    """A network with weights and statistics that are no initial values; tests put back what they change."""
    model = small_model(DATASET, f"variant={variant}", "optimizer=sgd", network=network)
    model.train(DATASET.x_train, DATASET.y_train, rows(DATASET, 15), calls=None)
    return model


def measured(name, model, *, batch_size=10, inputs=DATASET.x_train, seed=0):
    return final_pass(name)(model, inputs, batch_size=batch_size, seed=seed)


def layer_inputs(model, layer, batches, *, batch_mode):
    """Returns a dense layer's inputs, float64 [examples, units], computed in NumPy from the network's variables."""
    state = {name: np.float64(value) for name, value in model.state().items()}
    collected = []
    for batch in batches:
        hidden = np.float64(batch).reshape(len(batch), -1)
        for number in range(1, int(layer.removeprefix("bn")) + 1):
            hidden = hidden @ state[f"dense{number}/kernel"]
            if f"bn{number}" == layer:
                break
            moving = state[f"bn{number}/moving_mean"], state[f"bn{number}/moving_variance"]
            mean, variance = (hidden.mean(0), hidden.var(0)) if batch_mode else moving
            normal = (hidden - mean) / np.sqrt(variance + 1e-3)
            hidden = 1 / (1 + np.exp(-(normal * state[f"bn{number}/gamma"] + state[f"bn{number}/beta"])))
        collected.append(hidden)
    return collected


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", NAMES)
def test_it_returns_statistics_and_changes_nothing(name, network):
    model = trained(network)
    before = model.state()
    found = measured(name, model)
    after = model.state()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value, err_msg=key)
    assert set(found) == (set() if name == "none" else set(model.layers))
    for layer, moments in found.items():
        assert moments.mean.shape == moments.variance.shape == model.moving_statistics()[layer].mean.shape
        assert moments.mean.dtype == moments.variance.dtype == np.float64
        assert (moments.variance > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_leaking_variant_is_put_back_too(name):
    model = trained("mlp", "control_deps_leaky")
    before = model.state()
    measured(name, model)
    residuals(model, DATASET.x_train)
    for key, value in model.state().items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", NAMES)
def test_only_moving_statistics_are_assigned(name, network):
    model = trained(network)
    with model.untouched():
        before = model.state()
        found = measured(name, model)
        model.assign_moving_statistics(found)
        changed = {key for key, value in model.state().items() if (value != before[key]).any()}
        assigned = {f"{layer}/moving_{statistic}" for layer in found for statistic in ("mean", "variance")}
        assert changed == assigned
        for layer, moments in found.items():
            now = model.moving_statistics()[layer]
            np.testing.assert_array_equal(now.mean, np.float32(moments.mean))
            np.testing.assert_array_equal(now.variance, np.float32(moments.variance))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", NAMES)
def test_a_second_pass_finds_what_the_first_did(name, network):
    """Assigning moves no weight, and batch mode reads no moving statistic."""
    model = trained(network)
    with model.untouched():
        first = measured(name, model)
        model.assign_moving_statistics(first)
        second = measured(name, model)
    for layer, moments in first.items():
        # a layer-wise pass starts from other statistics of the layers behind it, which it must never read
        np.testing.assert_array_equal(second[layer].mean, moments.mean)
        np.testing.assert_array_equal(second[layer].variance, moments.variance)


@pytest.mark.parametrize("name", sorted(set(NAMES) - BATCHWISE))
@pytest.mark.parametrize("network", NETWORKS)
def test_no_cut_into_batches_changes_what_inference_mode_measures(name, network, monkeypatch):
    model = trained(network)
    whole = measured(name, model, batch_size=62)
    module = import_module(f"bnexp.final_pass.{name}")
    monkeypatch.setattr(module, "INFERENCE_BATCH", 7, raising=name == "layerwise")
    cut = measured(name, model, batch_size=7)
    assert cut.keys() == whole.keys()
    for layer, moments in whole.items():
        # the merge is exact to float64; the inputs are float32 and may be summed in another order in a smaller batch
        deviation = np.sqrt(moments.variance)
        np.testing.assert_allclose(cut[layer].mean / deviation, moments.mean / deviation, rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(cut[layer].variance, moments.variance, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(BATCHWISE))
def test_the_first_layer_does_not_depend_on_the_cut_where_it_should_not(name):
    """Nothing stands before the first layer. Pooled, any cut gives its population; the paper's estimate leaves out how
    far batch means lie apart, so the cut stays in its variance, and not in its mean."""
    model = trained("mlp")
    values = np.concatenate(layer_inputs(model, "bn1", [DATASET.x_train], batch_mode=True))
    # float32 products and sums of 32 terms make the inputs
    noise = 32 * 6e-8 * np.abs(values).max()
    for batch_size in (7, 31, 62):
        found = measured(name, model, batch_size=batch_size)["bn1"]
        np.testing.assert_allclose(found.mean, values.mean(0), rtol=0, atol=noise)
        if name == "precise_bn":
            np.testing.assert_allclose(found.variance, values.var(0), rtol=0, atol=noise * np.abs(values).max())


@pytest.mark.parametrize("batch_size", [10, 62, 100])
@pytest.mark.parametrize("layer", ["bn1", "bn2"])
@pytest.mark.parametrize("name", sorted(BATCHWISE))
def test_closed_form_from_the_layers_inputs(name, layer, batch_size):
    """In float64 NumPy, from the weights: batches of ten and a last one of two, one batch of all, and more than all."""
    model = trained("mlp")
    order = shuffled(DATASET.x_train, 0)
    batches = [DATASET.x_train[order[i : i + batch_size]] for i in range(0, 62, batch_size)]
    inputs = layer_inputs(model, layer, batches, batch_mode=True)
    found = measured(name, model, batch_size=batch_size)[layer]
    everything = np.concatenate(inputs)
    if name == "precise_bn":
        mean, variance = everything.mean(0), everything.var(0)
    else:
        # E[x] weighs every example alike; m/(m-1) E[Var] is the sum of squares over the sum of m - 1
        mean = everything.mean(0)
        variance = sum(x.var(0) * len(x) for x in inputs) / sum(len(x) - 1 for x in inputs)
    # the layers before run in float32: 32 products and ten values, behind a division by a standard deviation that
    # is a sixth of the values' size
    noise = 6 * (32 + 10) * 6e-8 * np.abs(everything).max()
    np.testing.assert_allclose(found.mean, mean, rtol=0, atol=noise)
    np.testing.assert_allclose(found.variance, variance, rtol=0, atol=noise * np.abs(everything).max())


def test_the_two_estimates_differ_by_more_than_the_tolerance():
    model = trained("mlp")
    pooled, paper = (measured(name, model)["bn1"].variance for name in ("precise_bn", "paper"))
    assert np.abs(pooled / paper - 1).max() > 1e-2


@pytest.mark.parametrize("network", NETWORKS)
def test_after_layerwise_inference_meets_the_statistics_it_uses(network):
    model = trained(network)
    with model.untouched():
        left = residuals(model, DATASET.x_train)
        model.assign_moving_statistics(measured("layerwise", model))
        gone = residuals(model, DATASET.x_train)
    assert set(gone) == set(model.layers)
    for layer, residual in gone.items():
        assert residual.mean.max() < 1e-4
        assert residual.variance.max() < 1e-4
        # before it there was something to remove
        assert left[layer].mean.max() > 1e-2
        assert left[layer].variance.max() > 1e-2


def test_only_layerwise_closes_the_gap_behind_the_first_layer():
    """With batches of four, a layer behind another is fed something else at inference than precise_bn measured."""
    model = trained("mlp")
    with model.untouched():
        model.assign_moving_statistics(measured("precise_bn", model, batch_size=4))
        left = residuals(model, DATASET.x_train)
    assert left["bn1"].variance.max() < 1e-4
    assert left["bn2"].variance.max() > 1e-2


def test_residuals_are_numpy_s():
    model = trained("mlp")
    found = residuals(model, DATASET.x_train)
    for layer in ("bn1", "bn2"):
        values = np.concatenate(layer_inputs(model, layer, [DATASET.x_train], batch_mode=False))
        moving = model.moving_statistics()[layer]
        # relative figures of float32 inputs; means lie up to twenty standard deviations off
        np.testing.assert_allclose(
            found[layer].mean, np.abs(moving.mean - values.mean(0)) / values.std(0), rtol=1e-3, atol=1e-4
        )
        np.testing.assert_allclose(
            found[layer].variance, np.abs(moving.variance / values.var(0) - 1), rtol=1e-3, atol=1e-4
        )


def test_a_residual_that_has_no_unit_or_no_number():
    assigned = Moments(np.array([5.0, 5.0, 1.0]), np.array([0.0, 1.0, np.nan]))
    population = Moments(np.array([5.0, 6.0, 1.0]), np.array([0.0, 0.0, 1.0]))
    found = _relative(assigned, population)
    # a channel that never varies: 0 where the two agree, infinite where they do not; NaN agrees with nothing
    np.testing.assert_array_equal(found.mean, [0.0, np.inf, 0.0])
    np.testing.assert_array_equal(found.variance[:2], [0.0, np.inf])
    assert found.variance[2] != 0.0


def test_every_file_has_its_yaml():
    modules = {path.stem for path in (CONF_DIR.parent / "bnexp" / "final_pass").glob("*.py")} - {"__init__"}
    assert modules == set(NAMES)
