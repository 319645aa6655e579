"""The savepoint: a training goes on from it to the same bits, and a damaged one is named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small import ONE_LAYER, images, small_model

from bnexp.storage import arrays
from bnexp.storage.arrays import DamagedError
from bnexp.training import loop
from bnexp.training import savepoint as module
from bnexp.training.loop import train
from bnexp.training.savepoint import Training

STEPS, BATCH, SEED = 20, 10, 3


@pytest.fixture(scope="module")
def dataset():
    return images()


@pytest.fixture(autouse=True, scope="module")
def _often():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "SNAPSHOTS", 10)  # every second step
        patch.setattr(module, "SECONDS_BETWEEN", 0.0)
        patch.setattr(module, "TIMES_ITS_OWN", 0)
        yield


@pytest.fixture(scope="module")
def model(dataset):
    """One that is not trained."""
    return small_model(dataset, ONE_LAYER["mlp"])


@pytest.fixture(scope="module")
def left(dataset, tmp_path_factory):
    """What is left of a training that was interrupted after step 6."""
    folder = tmp_path_factory.mktemp("left")
    go(dataset, folder, until=6)
    return folder


@pytest.fixture
def folder(left, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(left, tmp_path / "s"))


def go(dataset, folder, *, variant="update_ops", network="mlp", until=STEPS, resume=False):
    model = small_model(dataset, ONE_LAYER[network], f"variant={variant}", network=network)
    training = Training(model, steps=STEPS, batch_size=BATCH, folder=folder)
    if resume:
        training.load()
    for snapshot in train(model, dataset, batch_size=BATCH, steps=STEPS, seed=SEED, start=training.step):
        training.add(snapshot)
        training.save()
        if snapshot.step >= until:
            break
    return model, training


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array, err_msg=name)


# zero_debias counts its updates, test_set_leak moves while it is watched
@pytest.mark.parametrize("variant", ["zero_debias", "test_set_leak"])
def test_resumed_it_ends_with_the_same_bits(dataset, tmp_path, variant):
    model, whole = go(dataset, None, variant=variant)
    go(dataset, tmp_path / "s", variant=variant, until=8)
    _, resumed = go(dataset, tmp_path / "s", variant=variant, until=14, resume=True)
    assert resumed.step == 14
    resumed_model, resumed = go(dataset, tmp_path / "s", variant=variant, resume=True)
    assert_equal(model.state(), resumed_model.state())
    assert_equal(whole.averages.state(), resumed.averages.state())
    whole.recorder.trajectories().save(tmp_path / "whole.npz")
    resumed.recorder.trajectories().save(tmp_path / "resumed.npz")
    with np.load(tmp_path / "whole.npz") as one, np.load(tmp_path / "resumed.npz") as other:
        assert_equal(dict(one), dict(other))
    assert resumed.seconds > 0


def test_a_training_that_had_ended_has_nothing_left_to_do(dataset, tmp_path):
    model, _ = go(dataset, tmp_path / "s")
    resumed_model, resumed = go(dataset, tmp_path / "s", resume=True)
    assert resumed.step == STEPS
    assert_equal(model.state(), resumed_model.state())


def test_one_savepoint_is_kept(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "step-6.npz"]


def test_a_kill_between_file_and_manifest_leaves_the_one_before(dataset, model, folder, monkeypatch):
    write = arrays.write_whole

    def killed(path, content):
        if path.name == "manifest.json":
            raise SystemExit
        write(path, content)

    monkeypatch.setattr(arrays, "write_whole", killed)
    with pytest.raises(SystemExit):
        go(dataset, folder, until=8, resume=True)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "step-6.npz", "step-8.npz"}
    training = Training(model, steps=STEPS, batch_size=BATCH, folder=folder)
    with model.untouched():
        training.load()
    assert training.step == 6


def test_seldom_enough_to_cost_little(dataset, model, tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(loop, "SNAPSHOTS", 20)
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 2.0)
    monkeypatch.setattr(module, "TIMES_ITS_OWN", 20)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    saved = []

    def write(path, content):
        clock[0] += 0.25 if path.suffix == ".npz" else 0.0  # what writing takes
        saved.append(clock[0])

    monkeypatch.setattr(arrays, "write_whole", write)
    training = Training(model, steps=STEPS, batch_size=BATCH, folder=tmp_path)
    with model.untouched():
        for snapshot in train(model, dataset, batch_size=BATCH, steps=STEPS, seed=SEED):
            training.add(snapshot)
            training.save()
            clock[0] += 1.0
    # not at once, then twenty times the quarter of a second later
    assert saved[::2] == [102.25, 107.5, 112.75, 118.0]


@pytest.mark.parametrize("damage", ["truncated", "changed", "gone", "manifest"])
def test_damage_is_named_and_nothing_touched(model, folder, damage):
    path = folder / ("manifest.json" if damage == "manifest" else "step-6.npz")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + b"?" if damage == "changed" else content[: len(content) // 2])
    before = model.state()
    training = Training(model, steps=STEPS, batch_size=BATCH, folder=folder)
    with pytest.raises(DamagedError, match=f"there is no {path}$" if damage == "gone" else f"^{path} is damaged"):
        training.load()
    assert training.step == 0
    assert_equal(before, model.state())


def test_a_savepoint_of_another_version_is_named_and_nothing_touched(model, folder):
    found, manifest = arrays.load_arrays(folder)
    former = {name.replace("averages/", "ladder/"): array for name, array in found.items()}
    arrays.save_arrays(folder / "step-6.npz", former, step=manifest["step"], seconds=manifest["seconds"])
    before = model.state()
    training = Training(model, steps=STEPS, batch_size=BATCH, folder=folder)
    with pytest.raises(DamagedError, match=f"^{folder / 'step-6.npz'} is of another bnexp"):
        training.load()
    assert training.step == 0
    assert_equal(before, model.state())


def test_without_a_savepoint_it_starts_at_the_beginning(model, tmp_path):
    training = Training(model, steps=STEPS, batch_size=BATCH, folder=tmp_path / "none")
    training.load()
    assert training.step == 0
    assert not (tmp_path / "none").exists()


def test_the_manifest_says_what_it_names(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["step"], manifest["file"]) == (6, "step-6.npz")
    assert manifest["bytes"] == (folder / "step-6.npz").stat().st_size
