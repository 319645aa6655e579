"""Training: where snapshots are taken, what they hold, and that it makes no difference how it is cut."""

from types import SimpleNamespace

import numpy as np
import pytest
from small import ONE_LAYER, images, small_model

from bnexp.dataset import batch_indices
from bnexp.engine.compiled import CompiledEngine
from bnexp.statistics.layer_statistics import to_arrays
from bnexp.statistics.moments import Moments
from bnexp.training import loop as module
from bnexp.training.loop import PERCENTILES, measure, sample_rows, snapshot_steps, train

SEED, BATCH, LONG = 3, 10, 110

# one batch of all of `images()`
EVERYTHING = np.arange(60, dtype=np.int32)[None]


@pytest.fixture(scope="module")
def dataset():
    return images()


def trained(dataset, steps, *, start=0, state=None, network="mlp"):
    model = small_model(dataset, ONE_LAYER[network], network=network)
    if state is not None:
        model.assign(state)
    snapshots = list(train(model, dataset, batch_size=BATCH, steps=steps, seed=SEED, start=start))
    return model, snapshots


@pytest.fixture(scope="module")
def long(dataset):
    """A training of as many steps as are worth a compiled loop: the model, its snapshots, its state after each."""
    model, snapshots, states = small_model(dataset, ONE_LAYER["mlp"]), [], {}
    for snapshot in train(model, dataset, batch_size=BATCH, steps=LONG, seed=SEED):
        snapshots.append(snapshot)
        states[snapshot.step] = model.state()
    return model, snapshots, states


def fake_model(units, layers=1):
    still = Moments(np.zeros(units), np.ones(units))
    return SimpleNamespace(moving_statistics=lambda: {f"bn{i}": still for i in range(layers)})


@pytest.mark.parametrize("steps", [1, 2, 3, 19, 20, 21, 99, 100, 101, 10**6])
def test_about_twenty_snapshots_and_the_last_step(steps):
    marks = snapshot_steps(fake_model(5), steps)
    assert len(marks) == min(steps, 20)
    assert marks == sorted(set(marks))
    assert marks[-1] == steps
    # evenly spread, but for a step
    assert max(np.diff([0, *marks])) - min(np.diff([0, *marks])) <= 1


@pytest.mark.parametrize("steps", [1, 21, LONG])
def test_snapshots_cover_every_step_once(dataset, long, steps):
    model, snapshots, _ = long if steps == LONG else (*trained(dataset, steps), None)
    ends = [snapshot.step for snapshot in snapshots]
    assert ends == snapshot_steps(model, steps)
    lengths = [len(snapshot.steps.losses) for snapshot in snapshots]
    assert lengths == np.diff([0, *ends]).tolist()
    for snapshot in snapshots:
        for array in to_arrays(snapshot.steps.layers).values():
            assert array.shape == (len(snapshot.steps.losses), 5)
            assert array.dtype == np.float32


@pytest.mark.parametrize("steps", [1, 20, 1000, 10**6, 10**8])
@pytest.mark.parametrize("units", [5, 10**5])
def test_what_is_recorded_between_snapshots_is_bounded(units, steps):
    marks = snapshot_steps(fake_model(units), steps)
    assert marks[-1] == steps
    longest = np.diff([0, *marks]).max()
    # four statistics of four bytes; where a single step is more than the bound, every step is a snapshot
    assert longest * units * 4 * 4 <= module.SNAPSHOT_BYTES + units * 16
    if steps * units * 16 <= module.SNAPSHOT_BYTES:
        assert len(marks) == min(steps, 20)


def concatenated(snapshots):
    parts = [to_arrays(snapshot.steps.layers) | {"loss": snapshot.steps.losses} for snapshot in snapshots]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("steps", [30, LONG])
def test_training_on_from_a_snapshot_gives_the_same_bits(dataset, long, steps):
    """Below and above the length from which loops are compiled; the state alone is carried over."""
    model, whole, states = long
    if steps != LONG:
        model, whole, states = small_model(dataset, ONE_LAYER["mlp"]), [], {}
        for snapshot in train(model, dataset, batch_size=BATCH, steps=steps, seed=SEED):
            whole.append(snapshot)
            states[snapshot.step] = model.state()
    marks = snapshot_steps(model, steps)
    start = marks[7]
    resumed_model, resumed = trained(dataset, steps, start=start, state=states[start])
    assert [snapshot.step for snapshot in resumed] == marks[8:]
    one, other = concatenated(whole[8:]), concatenated(resumed)
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array, err_msg=name)
    for name, value in states[steps].items():
        np.testing.assert_array_equal(resumed_model.state()[name], value, err_msg=name)
    for left, right in zip(whole[8:], resumed, strict=True):
        np.testing.assert_array_equal(left.population["bn1"].mean, right.population["bn1"].mean)


def test_snapshots_do_not_disturb_the_training(dataset, monkeypatch):
    """Measured at twenty places or at one: the same network."""
    _, many = trained(dataset, 40)
    monkeypatch.setattr(module, "SNAPSHOTS", 1)
    _, one = trained(dataset, 40)
    assert (len(many), len(one)) == (20, 1)
    for name, array in concatenated(one).items():
        np.testing.assert_array_equal(concatenated(many)[name], array, err_msg=name)


def test_a_long_way_between_snapshots_is_several_calls(dataset, long, monkeypatch):
    _, at_once, _ = long
    lengths = []
    make = CompiledEngine.program
    monkeypatch.setattr(
        CompiledEngine, "program", lambda *a, calls=None: (lengths.append(calls), make(*a, calls=calls))[1]
    )
    monkeypatch.setattr(module, "LONGEST_CALL", 4)
    _, in_parts = trained(dataset, LONG)
    assert 4 in lengths  # five or six steps are two calls
    for name, array in concatenated(at_once).items():
        np.testing.assert_array_equal(concatenated(in_parts)[name], array, err_msg=name)


def test_batch_statistics_are_numpy_s_of_the_layers_input(dataset):
    """Step by step, from the weights before each step, kept by training one step at a time."""
    model = small_model(dataset, ONE_LAYER["mlp"])
    kernels = [model.state()["dense1/kernel"]]
    recorded = []
    for snapshot in train(model, dataset, batch_size=BATCH, steps=5, seed=SEED):
        kernels.append(model.state()["dense1/kernel"])
        recorded.append(snapshot.steps.layers["bn1"])
    order = batch_indices(60, BATCH, start=0, stop=5, seed=SEED)
    for step, statistics in enumerate(recorded):
        hidden = np.float64(dataset.x_train[order[step]]).reshape(BATCH, -1) @ np.float64(kernels[step])
        # float32: 32 products of up to |hidden| each, then ten values
        size = 32 * 6e-8 * np.abs(hidden).max()
        np.testing.assert_allclose(statistics.batch_mean[0], hidden.mean(0), rtol=0, atol=10 * size)
        np.testing.assert_allclose(
            statistics.batch_variance[0], hidden.var(0), rtol=1e-5, atol=10 * size * np.sqrt(hidden.var(0).max())
        )


@pytest.mark.parametrize(
    ("examples", "batch_size", "batches"),
    [(60_000, 60, 17), (60_000, 2000, 1), (1437, 60, 17), (100, 64, 1), (60, 60, 1)],
)
def test_the_sample_is_whole_batches_of_different_examples(examples, batch_size, batches):
    rows = sample_rows(examples, batch_size, seed=SEED)
    assert rows.shape == (batches, batch_size)
    assert len(np.unique(rows)) == rows.size
    assert 0 <= rows.min() <= rows.max() < examples
    np.testing.assert_array_equal(rows, sample_rows(examples, batch_size, seed=SEED))


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_the_population_is_that_of_training_mode(dataset, network):
    """One batch of everything: the population of the first layer's input is NumPy's, from the snapshot's weights."""
    model, (*_, last) = trained(dataset, 3, network=network)
    found = measure(model, dataset.x_train, EVERYTHING)[0]["bn1"]
    if network == "mlp":
        hidden = np.float64(dataset.x_train).reshape(60, -1) @ np.float64(model.state()["dense1/kernel"])
        # float32 products and sums of 32 terms, as above
        np.testing.assert_allclose(found.mean, hidden.mean(0), rtol=0, atol=2e-6 * np.abs(hidden).max())
        np.testing.assert_allclose(found.variance, hidden.var(0), rtol=1e-4)
    # batches of ten, shuffled, of a data set smaller than the sample: the same values, pooled
    np.testing.assert_allclose(last.population["bn1"].mean, found.mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(last.population["bn1"].variance, found.variance, rtol=1e-4)


def test_percentiles_are_those_of_what_the_first_unit_is_given(dataset):
    """One batch of everything, gamma 1 and beta 0: NumPy's percentiles of the first column, normalised."""
    model = small_model(dataset, "variant=update_ops", ONE_LAYER["mlp"])
    hidden = np.float64(dataset.x_train).reshape(60, -1) @ np.float64(model.state()["dense1/kernel"])[:, :1]
    given = (hidden - hidden.mean()) / np.sqrt(hidden.var() + 1e-3)
    found = measure(model, dataset.x_train, EVERYTHING)[1]["bn1"]
    # float32 sums of 32 terms, divided by the spread
    np.testing.assert_allclose(found, np.percentile(given, PERCENTILES), atol=1e-4)


def test_measuring_leaves_every_variable_as_it_was(dataset):
    model = small_model(dataset, "variant=control_deps_leaky", ONE_LAYER["mlp"])
    before = model.state()
    measure(model, dataset.x_train, EVERYTHING.reshape(-1, BATCH))
    for name, value in model.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_training_learns(long):
    """With columns that give the class away, a hundred steps find them."""
    _, snapshots, _ = long
    assert np.mean(snapshots[-1].steps.accuracies) > 0.9
    assert np.mean(snapshots[0].steps.accuracies) < 0.7
