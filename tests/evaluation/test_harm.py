"""What the moving statistics cost: two predictions of the same examples, compared example by example."""

import numpy as np
import pytest
from small import ONE_LAYER, images, rows, small_model

from bnexp.evaluation.evaluate import evaluate_controls
from bnexp.evaluation.harm import Harm, measure_harm
from bnexp.statistics.moments import Moments


@pytest.fixture(scope="module")
def dataset():
    return images()


@pytest.fixture(scope="module")
def model(dataset):
    """A trained one whose moving statistics stayed at 0 and 1, far from the inputs'."""
    model = small_model(dataset, "variant=update_ops_forgotten", ONE_LAYER["mlp"])
    model.train(dataset.x_train, dataset.y_train, rows(dataset, 60), calls=None)
    return model


def population_of(model, dataset):
    """Returns the moments of each layer's input over all training examples."""
    everything = np.arange(len(dataset.x_train))
    found = model.input_moments(dataset.x_train, everything, batch_size=len(everything), batch_mode=True)
    return {layer: Moments(one.means[0], one.variances[0]) for layer, one in found.items()}


def predicted(model, dataset, mean, variance):
    """Returns the predictions for the test set with a mean and a variance, by hand."""
    state = {name: value.astype(np.float64) for name, value in model.state().items()}
    hidden = dataset.x_test.reshape(len(dataset.x_test), -1) @ state["dense1/kernel"]
    normed = (hidden - mean) / np.sqrt(variance + 1e-3) * state["bn1/gamma"] + state["bn1/beta"]
    return ((1 / (1 + np.exp(-normed))) @ state["logits/kernel"] + state["logits/bias"]).argmax(-1)


def measured(model, dataset, population, *, size=1):
    controls = evaluate_controls(model, dataset, eval_batch_size=size)
    return measure_harm(model, population, dataset, controls, eval_batch_size=size)


def test_accuracies_gain_and_its_standard_error_by_hand(model, dataset):
    population = population_of(model, dataset)
    now = predicted(model, dataset, 0.0, 1.0) == dataset.y_test
    then = predicted(model, dataset, population["bn1"].mean, population["bn1"].variance) == dataset.y_test
    found = measured(model, dataset, population)
    assert found.accuracy == pytest.approx(now.mean())
    assert found.population_accuracy == pytest.approx(then.mean())
    assert found.gain == pytest.approx(then.mean() - now.mean())
    # paired: only the examples that one of the two gets right count, each by its distance from the mean
    better, worse, count = np.sum(then & ~now), np.sum(now & ~then), len(now)
    gain = (better - worse) / count
    squares = better * (1 - gain) ** 2 + worse * (1 + gain) ** 2 + (count - better - worse) * gain**2
    assert found.gain_error == pytest.approx(np.sqrt(squares / (count - 1) / count))
    assert better > 0
    assert found.matters == (gain > 2 * found.gain_error)
    assert found.matters


def test_the_model_is_left_as_it_was_bit_for_bit(model, dataset):
    before = model.state()
    # others than any test before has put in
    measured(model, dataset, {"bn1": Moments(np.arange(5.0), np.arange(2.0, 7.0))})
    after = model.state()
    assert before.keys() == after.keys()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def test_the_statistics_that_it_has_already_gain_nothing(model, dataset):
    found = measured(model, dataset, model.moving_statistics())
    assert (found.gain, found.gain_error, found.flips) == (0.0, 0.0, 0)
    assert not found.matters


def test_where_inference_uses_its_batch_the_batch_size_is_kept(dataset):
    """Inference with the batch's statistics makes one example its beta, whatever the moving statistics are."""
    model = small_model(dataset, "variant=always_batch", ONE_LAYER["mlp"])
    model.train(dataset.x_train, dataset.y_train, rows(dataset, 30), calls=None)
    controls = evaluate_controls(model, dataset, eval_batch_size=1)
    found = measure_harm(model, population_of(model, dataset), dataset, controls, eval_batch_size=1)
    assert found.flips == controls.flips > 0
    assert found.population_accuracy == found.accuracy == controls.headline.accuracy
    assert controls.batched.accuracy > found.accuracy


def test_a_layer_without_statistics_gives_nan(dataset):
    model = small_model(dataset, "variant=layer_norm", ONE_LAYER["mlp"])
    controls = evaluate_controls(model, dataset, eval_batch_size=1)
    found = measure_harm(model, {}, dataset, controls, eval_batch_size=1)
    assert found.accuracy == controls.headline.accuracy
    assert np.all(np.isnan([found.population_accuracy, found.gain, found.gain_error]))
    assert not found.matters


@pytest.mark.parametrize(("error", "matters"), [(0.04, True), (0.06, False), (float("nan"), False)])
def test_a_gain_matters_beyond_two_standard_errors(error, matters):
    assert Harm(0.5, 0.6, error, 0).matters == matters
    assert not Harm(0.6, 0.5, error, 0).matters


def test_the_names_of_the_metrics():
    assert Harm(0.5, 0.75, 0.125, 3).metrics() == {
        "test/accuracy_population_statistics": 0.75,
        "test/population_gain": 0.25,
        "test/population_gain_error": 0.125,
    }
