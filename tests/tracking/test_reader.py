"""Reading runs back from a real SQLite store."""

import numpy as np
import pytest
from fakes import FakeStore, trajectories
from small import store as empty_store

from bnexp.errors import UserError
from bnexp.tracking.reader import Store


@pytest.fixture
def fakes(folder):
    return FakeStore(folder)


def names(runs):
    return [run.name for run in runs]


def test_the_latest_sweep_is_its_jobs_in_their_order(fakes):
    old, new = fakes.sweep("old"), fakes.sweep("new")
    for parent, name in ((old, "a"), (new, "b"), (new, "c"), ("", "alone")):
        fakes.add(parent=parent, name=name)
    assert names(Store(fakes.uri, "bnexp").latest_sweep()) == ["b", "c"]


def test_without_a_sweep_it_is_every_run(fakes):
    for name in "ab":
        fakes.add(name=name)
    assert names(Store(fakes.uri, "bnexp").latest_sweep()) == ["a", "b"]


def test_an_empty_experiment_is_told(fakes):
    with pytest.raises(UserError, match=r"there are no runs to compare\. Run python -m bnexp -m"):
        Store(fakes.uri, "bnexp").latest_sweep()


def test_a_sweeps_id_stands_for_its_jobs_once(fakes):
    parent = fakes.sweep()
    first, second = (fakes.add(parent=parent, name=name) for name in "ab")
    runs = Store(fakes.uri, "bnexp").get([second, parent, first])
    assert names(runs) == ["b", "a"]


def test_an_unknown_run_is_told(fakes):
    with pytest.raises(UserError, match=r"runs=\[nobody\]: the store has no such run"):
        Store(fakes.uri, "bnexp").get(["nobody"])


def test_filters_are_mlflows(fakes):
    fakes.sweep()
    for decay in (0.9, 0.99):
        fakes.add(name=f"decay {decay}", decay=decay)
    here = Store(fakes.uri, "bnexp")
    assert names(here.search('params.decay = "0.99"')) == ["decay 0.99"]
    assert len(here.search()) == 2
    with pytest.raises(UserError, match="filter=decay is 3: MLflow does not understand it"):
        here.search("decay is 3")


def test_a_run_comes_back_as_it_was_written(fakes):
    run_id = fakes.add(name="a", accuracy=0.25, verdict="lagging")
    (run,) = Store(fakes.uri, "bnexp").get([run_id])
    assert (run.run_id, run.name, run.status, run.verdict) == (run_id, "a", "FINISHED", "lagging")
    assert run.metrics["test/accuracy"] == 0.25
    assert run.params["variant"] == "ema"
    assert run.started > 0


def test_trajectories_are_read_where_they_lie(fakes):
    arrays = trajectories()
    here = Store(fakes.uri, "bnexp")
    (run,) = here.get([fakes.add(arrays=arrays)])
    with here.trajectories(run) as read:
        assert set(read) == set(arrays)
        np.testing.assert_array_equal(read["bn1/moving_mean"], arrays["bn1/moving_mean"])


def test_a_run_without_trajectories_has_none(fakes):
    here = Store(fakes.uri, "bnexp")
    (run,) = here.get([fakes.add()])
    with here.trajectories(run) as read:
        assert dict(read) == {}


def test_damaged_trajectories_are_told(fakes):
    run_id = fakes.add(arrays=trajectories())
    path = fakes.artifacts(run_id) / "trajectories.npz"
    path.write_bytes(path.read_bytes()[:1000])
    here = Store(fakes.uri, "bnexp")
    (run,) = here.get([run_id])
    with pytest.raises(ValueError, match=r"trajectories\.npz cannot be read"), here.trajectories(run):
        pass


def test_a_store_that_is_not_there_is_not_made(folder):
    with pytest.raises(UserError, match=r"there is no such file\. Run python -m bnexp first"):
        Store("sqlite:///runs/mlflow.db", "bnexp")
    assert not list(folder.iterdir())


def test_an_unknown_experiment_is_told_with_those_there_are(folder):
    with pytest.raises(
        UserError, match=r"tracking\.experiment=bnxp: .* has no such experiment\. Take one of Default\."
    ):
        Store(empty_store(folder), "bnxp")
