"""Evaluation counts every example once, and leaves the network as it was."""

import numpy as np
import pytest
import tensorflow as tf
from small import ONE_LAYER, images, rows, small_model

from bnexp.evaluation.evaluate import evaluate, evaluate_controls

NAMED = ("contrib", "slim", "control_deps", "update_ops", "ema")


@pytest.fixture(scope="module")
def dataset():
    return images()


@pytest.fixture(scope="module")
def model(dataset):
    """A trained one, so that moving statistics and predictions are no initial values."""
    model = small_model(dataset, ONE_LAYER["mlp"])
    model.train(dataset.x_train, dataset.y_train, rows(dataset, 40), calls=None)
    return model


@pytest.mark.parametrize("batch_mode", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 30, 1000])
def test_every_example_is_predicted_once_in_order(model, dataset, batch_size, batch_mode):
    """Seven does not divide thirty, and a thousand is more than there are."""
    found = evaluate(model, dataset.x_test, dataset.y_test, batch_size=batch_size, batch_mode=batch_mode)
    assert found.predictions.shape == (30,)
    assert found.accuracy == np.mean(found.predictions == dataset.y_test)
    if not batch_mode:
        with model.untouched():
            alone = np.concatenate([model.predict(x[None], batch_size=1) for x in dataset.x_test])
        np.testing.assert_array_equal(found.predictions, alone.argmax(-1))
        assert len(np.unique(found.predictions)) == 3


def test_batch_statistics_make_one_example_its_beta(model, dataset):
    """A batch of one has variance 0, so every example comes out alike: the documents' complaint."""
    found = evaluate(model, dataset.x_test, dataset.y_test, batch_size=1, batch_mode=True)
    assert len(np.unique(found.predictions)) == 1
    whole = evaluate(model, dataset.x_test, dataset.y_test, batch_size=30, batch_mode=True)
    assert len(np.unique(whole.predictions)) == 3


@pytest.mark.parametrize(
    ("variant", "network"), [*((name, "mlp") for name in NAMED), ("update_ops", "cnn"), ("ema", "cnn")]
)
def test_right_variants_neither_flip_nor_move(dataset, variant, network):
    model = small_model(dataset, f"variant={variant}", ONE_LAYER[network], network=network)
    model.train(dataset.x_train, dataset.y_train, rows(dataset, 12), calls=None)
    single, again, batched = (evaluate(model, dataset.x_test, dataset.y_test, batch_size=size) for size in (1, 1, 30))
    assert single.moved == again.moved == batched.moved == 0.0
    np.testing.assert_array_equal(single.predictions, again.predictions)
    np.testing.assert_array_equal(single.predictions, batched.predictions)


def test_a_leak_is_seen_and_put_back(dataset):
    model = small_model(dataset, "variant=control_deps_leaky", ONE_LAYER["mlp"])
    model.train(dataset.x_train, dataset.y_train, rows(dataset, 12), calls=None)
    before = model.state()
    found = evaluate(model, dataset.x_test, dataset.y_test, batch_size=1)
    # one example has variance 0: thirty calls at decay .9 leave 4 % of the moving variance
    largest = max(np.abs(moments.variance).max() for moments in model.moving_statistics().values())
    assert found.moved >= (1 - 0.9**30) * largest * 0.999
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    again = evaluate(model, dataset.x_test, dataset.y_test, batch_size=1)
    np.testing.assert_array_equal(again.predictions, found.predictions)
    assert again.moved == found.moved


def test_another_order_gives_each_example_the_same_prediction(model, dataset):
    order = np.random.default_rng(4).permutation(30)
    straight = evaluate(model, dataset.x_test, dataset.y_test, batch_size=4)
    shuffled = evaluate(model, dataset.x_test[order], dataset.y_test[order], batch_size=4)
    np.testing.assert_array_equal(shuffled.predictions, straight.predictions[order])
    assert shuffled.accuracy == straight.accuracy


def test_an_exception_in_the_middle_leaves_the_network_as_it_was(dataset, monkeypatch):
    model = small_model(dataset, "variant=contrib_twin", ONE_LAYER["mlp"])
    before = model.state()
    predict = model.predict

    def fails_after_leaking(*arguments, **named):
        predict(*arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "predict", fails_after_leaking)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, dataset.x_test, dataset.y_test, batch_size=1)
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_outputs_that_are_not_finite_are_wrong_whatever_the_label(dataset):
    model = small_model(dataset, ONE_LAYER["mlp"])
    model.assign({"logits/bias": np.array([np.nan, 0, 0], np.float32)})
    found = evaluate(model, dataset.x_test, dataset.y_test, batch_size=1)
    assert set(found.predictions) == {-1}
    assert found.accuracy == 0.0
    model.assign({"logits/bias": np.array([0, np.inf, 0], np.float32)})
    assert evaluate(model, dataset.x_test, dataset.y_test, batch_size=30).accuracy == 0.0


def test_the_controls_of_a_right_network(model, dataset):
    before = model.state()
    found = evaluate_controls(model, dataset, eval_batch_size=1)
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert (found.flips, found.batch_matters) == (0, False)
    assert len(np.unique(found.batch_statistics.predictions)) == 1  # one by one, a batch's statistics tell nothing
    assert found.metrics() == {
        "test/accuracy": found.headline.accuracy,
        "test/accuracy_batched": found.batched.accuracy,
        "test/accuracy_batch_statistics": found.batch_statistics.accuracy,
        "test/flips": 0.0,
        "test/moved": 0.0,
        "test/seconds": found.headline.seconds,
    }


def test_a_layer_that_cannot_train_on_so_few_leaves_one_control_out(model, dataset, monkeypatch):
    """As one that splits its batch cannot on a single example, whether TensorFlow tells when it runs or before."""
    predict = model.predict
    whole = evaluate_controls(model, dataset, eval_batch_size=1)
    for error in (
        tf.errors.InvalidArgumentError(None, None, "split 1 by 2\nlong story"),
        ValueError("split 1 by 2"),
    ):

        def splits(inputs, *, batch_size, batch_mode=False, error=error):
            if batch_mode:
                raise error
            return predict(inputs, batch_size=batch_size, batch_mode=batch_mode)

        monkeypatch.setattr(model, "predict", splits)
        found = evaluate_controls(model, dataset, eval_batch_size=1)
        assert found.batch_statistics is None
        assert found.left_out == (
            "by batch statistics: left out, the layer cannot be run in training mode on 1 at a time (split 1 by 2)"
        )
        expected = whole.metrics()
        del expected["test/accuracy_batch_statistics"]
        measured = found.metrics()
        assert measured.pop("test/seconds") == found.headline.seconds
        del expected["test/seconds"]
        assert measured == expected
    assert whole.left_out == ""


@pytest.mark.parametrize("variant", ["always_batch", "control_deps_leaky"])
def test_the_controls_show_that_the_batch_matters(dataset, variant):
    model = small_model(dataset, f"variant={variant}", ONE_LAYER["mlp"])
    model.train(dataset.x_train, dataset.y_train, rows(dataset, 12), calls=None)
    found = evaluate_controls(model, dataset, eval_batch_size=1)
    assert found.batch_matters
    assert found.flips == np.sum(found.headline.predictions != found.batched.predictions) > 0
    assert (found.metrics()["test/moved"] > 0) == (variant == "control_deps_leaky")
