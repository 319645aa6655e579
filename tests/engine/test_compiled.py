"""The loops of the compiled engine; that they give what Session.run gives is tests/conformance/test_engine.py's."""

from functools import cache

import numpy as np
import pytest
from small import ONE_LAYER, images, rows, small_model

from bnexp.engine import compiled
from bnexp.engine.model import WORTH_COMPILING
from bnexp.graph.ancestry import ancestor_types
from bnexp.statistics.layer_statistics import to_arrays


@pytest.fixture(params=["mlp", "cnn"])
def network(request):
    return request.param


def built(network, dataset):
    return small_model(dataset, "optimizer=sgd", ONE_LAYER[network], network=network)


def assert_same(one, other, tolerance=0.0):
    """Compares two Steps, in units of each array's largest value."""
    left, right = ({"loss": steps.losses, **to_arrays(steps.layers)} for steps in (one, other))
    for name, array in right.items():
        np.testing.assert_allclose(left[name], array, rtol=0, atol=tolerance * np.abs(array).max(), err_msg=name)


@pytest.mark.parametrize(("network", "loop"), [("mlp", "whole"), ("mlp", "serial"), ("cnn", "serial")])
def test_training_is_the_same_in_every_serial_loop(network, loop, monkeypatch):
    dataset = images()
    # the pruned function called from Python, a step at a time: no loop at all
    direct = built(network, dataset).train(dataset.x_train, dataset.y_train, rows(dataset, 6), calls=None)
    monkeypatch.setattr(compiled, "_best_loop", lambda types, device, batch: loop)
    looped = built(network, dataset).train(dataset.x_train, dataset.y_train, rows(dataset, 6), calls=6)
    # float32, as derived in tests/conformance/test_engine.py
    assert_same(looped, direct, tolerance=2.4e-5)


@cache
def predicted_directly(network):
    """The outputs for single examples, call by call: too few to be worth compiling."""
    dataset = images()
    return built(network, dataset).predict(dataset.x_test, batch_size=1)


@pytest.mark.parametrize("loop", ["whole", "side_by_side", "serial", "parallel"])
def test_predictions_are_the_same_in_every_loop(network, loop, monkeypatch):
    dataset, direct = images(), predicted_directly(network)
    assert len(direct) < WORTH_COMPILING
    monkeypatch.setattr(compiled, "_best_loop", lambda types, device, batch: loop)
    monkeypatch.setattr("bnexp.engine.model.WORTH_COMPILING", 1)
    looped = built(network, dataset).predict(dataset.x_test, batch_size=1)
    # no step in between, so no growth: sums of at most 32 products, each rounded
    np.testing.assert_allclose(looped, direct, rtol=0, atol=32 * 6e-8 * np.abs(direct).max())
    assert len(np.unique(np.round(direct, 3), axis=0)) == 30  # unlike examples, in order


def loop_of(subgraph, *, device="/CPU:0", batch=10):
    return compiled._best_loop(ancestor_types(subgraph.outputs.values()), device, batch)


def test_many_examples_of_a_convolution_on_a_cpu_are_not_looped_over_by_xla():
    graph = built("cnn", images()).graph
    assert loop_of(graph.train) == "serial"
    assert loop_of(graph.train, batch=1) == "serial"
    assert loop_of(graph.inference.only(["outputs"])) == "parallel"
    assert loop_of(graph.inference.only(["outputs"]), batch=1) == "side_by_side"
    assert loop_of(graph.train, device="/GPU:0") == "whole"


def test_a_dense_network_is_looped_over_by_xla():
    graph = built("mlp", images()).graph
    assert loop_of(graph.train) == "whole"
    assert loop_of(graph.inference.only(["outputs"])) == "side_by_side"


@pytest.mark.parametrize("batch", [1, 10])
def test_calls_that_leak_are_made_one_after_another(network, batch):
    model = small_model(images(), "variant=contrib_twin", ONE_LAYER[network], network=network)
    assert loop_of(model.graph.inference.only(["outputs"]), batch=batch) in ("whole", "serial")


@pytest.fixture(scope="module")
def in_one_loop():
    """The outputs for single examples, one after another in one compiled loop."""
    dataset = images()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_best_loop", lambda types, device, batch: "whole")
        patch.setattr("bnexp.engine.model.WORTH_COMPILING", 1)
        return built("mlp", dataset).predict(dataset.x_test, batch_size=1)


@pytest.mark.parametrize(("cores", "calls"), [(1, 20), (1, 64), (2, 20), (2, 30), (7, 30), (7, 64)])
def test_calls_are_shared_out_among_any_number_of_cores(cores, calls, in_one_loop, monkeypatch):
    """Thirty examples: some loops are full, some get a part, some nothing."""
    dataset = images()
    monkeypatch.setattr(compiled, "cores", lambda: cores)
    monkeypatch.setattr("bnexp.engine.model.WORTH_COMPILING", 1)
    monkeypatch.setattr("bnexp.engine.model.LONGEST_LOOP", calls)
    np.testing.assert_array_equal(built("mlp", dataset).predict(dataset.x_test, batch_size=1), in_one_loop)


# the leaking one whose reads are ordered: a race may come out either way
@pytest.mark.parametrize("variant", ["update_ops", "control_deps_leaky"])
def test_a_few_calls_made_again_give_the_same_bits(network, variant):
    """From the second time on in a loop of their own, unless they write."""
    dataset = images()
    model = small_model(dataset, f"variant={variant}", ONE_LAYER[network], network=network)
    with model.untouched():
        first = model.predict(dataset.x_test, batch_size=5)
    for _ in range(2):
        with model.untouched():
            np.testing.assert_array_equal(model.predict(dataset.x_test, batch_size=5), first)
    (program,) = model._programs.values()
    assert len(program._traced) == (1 if variant == "update_ops" else 0)


def test_chunks_and_padding_change_nothing(network):
    """Ten steps as 4 + 4 + 2, padded to 4, and as part of one loop for 16: the same bits, also in the state."""
    dataset = images()
    order = rows(dataset, 10)
    results = []
    for calls in (4, 16):
        model = built(network, dataset)
        steps = model.train(dataset.x_train, dataset.y_train, order, calls=calls)
        assert len(steps.losses) == 10
        results.append((steps, model.state()))
    (chunked, chunked_state), (whole, whole_state) = results
    # one body, compiled alike whatever the length of the loop around it
    assert_same(chunked, whole)
    for name, value in whole_state.items():
        np.testing.assert_array_equal(chunked_state[name], value, err_msg=name)


def test_calls_do_not_trace_again(network):
    dataset = images()
    model = built(network, dataset)
    for steps in (4, 4, 7, 2):
        model.train(dataset.x_train, dataset.y_train, rows(dataset, steps), calls=4)
    (program,) = model._programs.values()
    assert len(program._traced) == 1


def test_another_batch_size_is_traced_once():
    """Full batches and a shorter last one have different shapes, and each is compiled once, whatever is asked again."""
    dataset = images()
    model = built("mlp", dataset)
    for _ in range(2):
        for batch_size in (10, 5):
            model.train(dataset.x_train, dataset.y_train, rows(dataset, 3, batch_size=batch_size), calls=3)
    (program,) = model._programs.values()
    assert len(program._traced) == 2


def test_a_dataset_goes_to_the_device_once():
    dataset = images()
    engine = built("mlp", dataset)._engine
    assert engine.on_device(dataset.x_train) is engine.on_device(dataset.x_train)
    other = dataset.x_train.copy()
    assert engine.on_device(other) is not engine.on_device(dataset.x_train)
