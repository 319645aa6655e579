"""The savepoint: a training goes on from it to the same bits, and a damaged one is named."""

import json

import numpy as np
import pytest
from small import ONE_LAYER, images, small_model

from bnexp import training as module
from bnexp.train import train
from bnexp.training import Training

STEPS, BATCH, SEED = 40, 10, 3


@pytest.fixture(scope="module")
def dataset():
    return images()


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(module, "TIMES_ITS_OWN", 0)


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
@pytest.mark.slow
@pytest.mark.parametrize("variant", ["zero_debias", "test_set_leak"])
def test_resumed_it_ends_with_the_same_bits(dataset, tmp_path, variant):
    model, whole = go(dataset, None, variant=variant)
    go(dataset, tmp_path / "s", variant=variant, until=14)
    resumed_model, resumed = go(dataset, tmp_path / "s", variant=variant, until=26, resume=True)
    assert resumed.step == 26
    resumed_model, resumed = go(dataset, tmp_path / "s", variant=variant, resume=True)
    assert_equal(model.state(), resumed_model.state())
    assert_equal(whole.ladder.state(), resumed.ladder.state())
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


def test_one_savepoint_is_kept(dataset, tmp_path):
    go(dataset, tmp_path / "s", until=6)
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["manifest.json", "step-6.npz"]


def test_a_kill_between_file_and_manifest_leaves_the_one_before(dataset, tmp_path, monkeypatch):
    folder = tmp_path / "s"
    go(dataset, folder, until=6)
    write = module.write_whole

    def killed(path, content):
        if path.name == "manifest.json":
            raise SystemExit
        write(path, content)

    monkeypatch.setattr(module, "write_whole", killed)
    with pytest.raises(SystemExit):
        go(dataset, folder, until=8, resume=True)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "step-6.npz", "step-8.npz"}
    training = Training(small_model(dataset, ONE_LAYER["mlp"]), steps=STEPS, batch_size=BATCH, folder=folder)
    training.load()
    assert training.step == 6


def test_seldom_enough_to_cost_little(dataset, tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 2.0)
    monkeypatch.setattr(module, "TIMES_ITS_OWN", 20)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    saved = []

    def write(path, content):
        clock[0] += 0.25 if path.suffix == ".npz" else 0.0  # what writing takes
        saved.append(clock[0])

    monkeypatch.setattr(module, "write_whole", write)
    model = small_model(dataset, ONE_LAYER["mlp"])
    training = Training(model, steps=STEPS, batch_size=BATCH, folder=tmp_path)
    for snapshot in train(model, dataset, batch_size=BATCH, steps=STEPS, seed=SEED):
        training.add(snapshot)
        training.save()
        clock[0] += 1.0
    # not at once, then twenty times the quarter of a second later
    assert saved[::2] == [102.25, 107.5, 112.75, 118.0]


@pytest.mark.parametrize("damage", ["truncated", "changed", "gone", "manifest"])
def test_damage_is_named_and_nothing_touched(dataset, tmp_path, damage):
    go(dataset, tmp_path, until=6)
    path = tmp_path / ("manifest.json" if damage == "manifest" else "step-6.npz")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + b"?" if damage == "changed" else content[: len(content) // 2])
    model = small_model(dataset, ONE_LAYER["mlp"])
    before = model.state()
    training = Training(model, steps=STEPS, batch_size=BATCH, folder=tmp_path)
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        training.load()
    assert training.step == 0
    assert_equal(before, model.state())


def test_without_a_savepoint_it_starts_at_the_beginning(dataset, tmp_path):
    training = Training(small_model(dataset), steps=STEPS, batch_size=BATCH, folder=tmp_path / "none")
    training.load()
    assert training.step == 0
    assert not (tmp_path / "none").exists()


def test_the_manifest_says_what_it_names(dataset, tmp_path):
    go(dataset, tmp_path, until=6)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert (manifest["step"], manifest["file"]) == (6, "step-6.npz")
    assert manifest["bytes"] == (tmp_path / "step-6.npz").stat().st_size
