"""What a process keeps from one job of a sweep for the next, and that nobody can tell."""

import gc
import weakref
from itertools import count

import numpy as np
import pytest
import tensorflow as tf
from small import images, rows, settings

from bnexp.engine import cache as module
from bnexp.engine.build import build_model
from bnexp.engine.cache import cached_dataset, cached_model, found_once
from bnexp.errors import UserError
from bnexp.statistics.layer_statistics import to_arrays


@pytest.fixture
def nothing_kept(monkeypatch):
    monkeypatch.setattr(module, "_models", {})
    monkeypatch.setattr(module, "_datasets", {})


JOB = ("network.widths=[4]", "batch_size=10")


def trained(model, dataset):
    """Everything that 110 steps leave behind, bit by bit."""
    steps = model.train(dataset.x_train, dataset.y_train, rows(dataset, 110), calls=50)
    return {"loss": steps.losses, **to_arrays(steps.layers), **model.state()}


@pytest.mark.parametrize("engine", ["compiled", "session"])
def test_a_cached_model_is_as_good_as_a_new_one(nothing_kept, engine):
    """With another seed, and with the first once more: the same bits as a model that was built for it."""
    dataset = images()
    models, afresh = [], {}
    for seed in (0, 1, 0):
        config = settings(*JOB, f"engine={engine}", f"seed={seed}", f"steps={100 + seed}", "final_pass=paper")
        models.append(cached_model(config, dataset, "/CPU:0"))
        found = trained(models[-1], dataset)
        if seed not in afresh:
            afresh[seed] = trained(build_model(config, dataset, "/CPU:0"), dataset)
        assert list(found) == list(afresh[seed])
        for name, value in afresh[seed].items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert models[0] is models[1] is models[2]
    if engine == "compiled":
        (program,) = models[0]._programs.values()
        assert len(program._traced) == 1


@pytest.mark.parametrize(
    "override",
    ["decay=0.5", "epsilon=0.1", "variant=contrib", "network.widths=[5]", "optimizer=sgd", "learning_rate=0.3"],
)
def test_another_graph_is_another_model(nothing_kept, override):
    first = cached_model(settings(*JOB), images(), "/CPU:0")
    assert cached_model(settings(*JOB, override), images(), "/CPU:0") is not first
    assert cached_model(settings(*JOB), images(), "/CPU:0") is first


def own_layer(x, is_training):
    return tf.cond(is_training, lambda: x - tf.reduce_mean(x, 0), lambda: x + 0)


@pytest.mark.parametrize("override", ["updates=minimize", "decay=0.5", "epsilon=0.1", "seed=1"])
def test_a_custom_layer_may_take_more_than_a_variant_s_node_says(nothing_kept, override):
    """By other names, or drawn at random: nobody knows which, so each has a model of its own."""
    own = [*JOB, f"variant._target_={__name__}.own_layer"]
    first = cached_model(settings(*own), images(), "/CPU:0")
    assert cached_model(settings(*own, override), images(), "/CPU:0") is not first
    assert cached_model(settings(*own), images(), "/CPU:0") is first
    assert cached_model(settings(*own, "eval_batch_size=7"), images(), "/CPU:0") is first


def test_only_the_last_models_are_kept(nothing_kept):
    first = weakref.ref(cached_model(settings(*JOB), images(), "/CPU:0"))
    for decay in (0.1, 0.2):
        cached_model(settings(*JOB, f"decay={decay}"), images(), "/CPU:0")
    gc.collect()
    assert first() is None
    assert len(module._models) == module.MOST_MODELS


def test_a_batch_too_small_is_told_of_a_cached_model_too(nothing_kept):
    cached_model(settings(*JOB), images(), "/CPU:0")
    with pytest.raises(UserError, match="batch_size=1:"):
        cached_model(settings(*JOB, "batch_size=1"), images(), "/CPU:0")


def never_the_same(inputs, *, batch_norm, num_classes, seed, **unused):
    """A network whose variables never have the same name twice."""
    name = f"kernel{next(numbers)}"
    features = batch_norm(tf.reshape(inputs, [-1, 32]), "bn1")
    with tf.compat.v1.variable_scope("", reuse=tf.compat.v1.AUTO_REUSE):
        return features @ tf.compat.v1.get_variable(name, initializer=np.ones([32, num_classes], np.float32))


numbers = count()


def test_a_network_of_one_s_own_is_built_again_for_another_seed(nothing_kept):
    """What it draws cannot be drawn again without its layers."""
    own = f"network._target_={__name__}.never_the_same"
    first = cached_model(settings(*JOB, own), images(), "/CPU:0")
    assert cached_model(settings(*JOB, own), images(), "/CPU:0") is first
    assert cached_model(settings(*JOB, own, "seed=1"), images(), "/CPU:0") is not first


def test_a_dataset_is_loaded_once_for_all_jobs_that_read_it(nothing_kept):
    first = cached_dataset(settings("dataset=gaussian"))
    assert cached_dataset(settings("dataset=gaussian", "decay=0.5", "seed=1", "network=cnn")) is first


def test_only_the_last_dataset_is_in_memory(nothing_kept):
    first = weakref.ref(cached_dataset(settings("dataset=gaussian")))
    other = cached_dataset(settings("dataset=constant"))
    gc.collect()
    assert first() is None
    assert cached_dataset(settings("dataset=constant")) is other
    assert cached_dataset(settings("dataset=gaussian")) is not other


def test_a_dataset_that_cannot_be_loaded_is_not_kept(nothing_kept, tmp_path):
    """The file may be there for the next job."""
    path = tmp_path / "small.npz"
    config = settings("dataset=npz", f"dataset.path={path}")
    with pytest.raises(UserError, match="no such file"):
        cached_dataset(config)
    data = images()
    np.savez(path, x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test)
    np.testing.assert_array_equal(cached_dataset(config).x_train, data.x_train)


def test_what_hangs_on_the_graph_alone_is_found_once_for_each_model():
    calls = []

    def find():
        calls.append(len(calls))
        return calls[-1]

    first, second = (build_model(settings(*JOB, "engine=session"), images(), "/CPU:0") for _ in range(2))
    assert [found_once(first, "answer", find) for _ in range(2)] == [0, 0]
    assert found_once(first, "another", find) == 1
    assert found_once(second, "answer", find) == 2
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None
