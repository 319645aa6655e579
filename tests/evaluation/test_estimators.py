"""The estimators: each row is what the network says with that average, and the network is left as it was."""

import numpy as np
import pandas as pd
import pytest
from small import ONE_LAYER, images, rows, small_model

from bnexp.evaluation.estimators import Estimators, evaluate_estimators
from bnexp.evaluation.evaluate import evaluate
from bnexp.statistics.moments import Moments
from bnexp.training.averages import AveragesByDecay, Estimator


def table(*found):
    return pd.DataFrame(found, columns=["decay", "ddof", "zero_debias", "accuracy"])


def test_the_best_decay_is_the_slowest_of_the_best_plain_biased_averages():
    plain = [(0.5, 0, False, 0.9), (0.9, 0, False, 0.95), (0.99, 0, False, 0.95), (0.999, 0, False, 0.2)]
    found = Estimators(table(*plain, (0.999, 0, True, 0.99), (0.5, 1, False, 0.99)), population=0.97)
    assert found.best == (0.99, 0.95)
    assert found.metrics() == {
        "ladder/best_decay": 0.99,
        "ladder/best_accuracy": 0.95,
        "ladder/population_accuracy": 0.97,
    }


def test_every_estimator_s_statistics_are_tried_on_the_same_weights():
    dataset = images()
    model = small_model(dataset, "decay=0.5", "variant=contrib", ONE_LAYER["mlp"])
    averages = AveragesByDecay(model.positions, batch_size=10)
    averages.add(model.train(dataset.x_train, dataset.y_train, rows(dataset, 4), calls=None))
    population = {"bn1": Moments(np.full(5, 3.0), np.full(5, 0.25))}
    before, own = model.state(), evaluate(model, dataset.x_test, dataset.y_test, batch_size=30)
    found = evaluate_estimators(
        averages, model, population, dataset.x_test, dataset.y_test, batch_size=30, decays=(0.5, 0.9999)
    )
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)

    def accuracy_with(statistics):
        with model.untouched():
            model.assign_moving_statistics(statistics)
            return evaluate(model, dataset.x_test, dataset.y_test, batch_size=30).accuracy

    assert len(found.table) == 8
    for row in found.table.itertuples(index=False):
        assert row.accuracy == accuracy_with(averages.statistics(Estimator(row.decay, row.ddof, row.zero_debias)))
    assert found.population == accuracy_with(population)
    assert found.table["accuracy"].nunique() > 1
    # the variant's own is among them
    (plain,) = found.table.query("decay == 0.5 and ddof == 0 and not zero_debias")["accuracy"]
    assert plain == pytest.approx(own.accuracy)
