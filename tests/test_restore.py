"""A finished run's weights again: another final pass and evaluation, no training."""

import json
import shutil

import numpy as np
import pytest
from small import ONE_LAYER, artifacts, client, images, run_here, save_images, small_model, store

from bnexp.checkpoint import ARRAYS, MANIFEST, Checkpoint, load_checkpoint
from bnexp.errors import UserError
from bnexp.restore import assign_checkpoint


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A run to restore: images, two layers, the last moving average."""
    folder = tmp_path_factory.mktemp("original")
    path = save_images(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = run_here(
            folder, "dataset=npz", f"dataset.path={path}", "network.widths=[6,5]", "batch_size=10", "steps=30"
        )
    return folder, result


@pytest.fixture
def here(original, monkeypatch):
    """The folder of the run to restore, as the current one."""
    monkeypatch.chdir(original[0])
    return original[0]


def checkpoint_of(folder, run_id):
    return load_checkpoint(artifacts(folder, run_id) / "checkpoint")


def assert_same_arrays(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.slow
def test_a_new_process_starts_from_the_same_bits(here, original, command, monkeypatch):
    _, first = original
    uri = store(here)
    done = command(f"restore={first.run_id}", "final_pass=layerwise", f"tracking.uri={uri}")
    assert done.returncode == 0, done.stderr
    # nothing but the device and the report, whatever the libraries have to tell
    assert done.stderr == ""
    device, title, *_ = done.stdout.splitlines()
    assert device.startswith(("CPU", "GPU"))
    assert title == "npz, mlp, update_ops, layerwise, adam, decay 0.9"
    (restored,) = (r for r in client(here).search_runs(["1"]) if r.data.tags.get("bnexp.restored_from") == first.run_id)
    assert restored.info.status == "FINISHED"
    # what the new process met before its pass is what the first one left, to the last bit
    kept, found = checkpoint_of(here, first.run_id), checkpoint_of(here, restored.info.run_id)
    statistics = {f"bn{n}/moving_{moment}" for n in (1, 2) for moment in ("mean", "variance")}
    assert set(found.last_averages) == statistics
    assert_same_arrays(found.last_averages, {name: kept.variables[name] for name in statistics})
    assert_same_arrays(
        {name: value for name, value in found.variables.items() if name not in statistics},
        {name: value for name, value in kept.variables.items() if name not in statistics},
    )
    metrics = restored.data.metrics
    assert metrics["test/accuracy_before_final_pass"] == first.metrics["test/accuracy"]
    assert metrics["final_pass/bn2/residual_variance"] < 1e-4 < first.metrics["final_pass/bn2/residual_variance"]
    assert "train/loss" not in metrics
    assert restored.data.params["final_pass"] == "layerwise"
    assert restored.data.params["network.widths"] == "[6, 5]"
    assert restored.data.params["restore"] == first.run_id


def test_a_restored_run_can_be_restored(here, original):
    _, first = original
    second = run_here(here, f"restore={first.run_id}", "final_pass=paper")
    third = run_here(here, f"restore={second.run_id}", "final_pass=none")
    # from the last averages again, not from what the pass in between had put in their place
    assert_same_arrays(checkpoint_of(here, third.run_id).variables, checkpoint_of(here, first.run_id).variables)
    for name, value in third.metrics.items():
        if not name.endswith("seconds"):
            assert value == first.metrics[name], name
    assert second.metrics["final_pass/bn1/residual_variance"] != first.metrics["final_pass/bn1/residual_variance"]


def test_the_other_engine_predicts_the_same(here, original):
    _, first = original
    found = run_here(here, f"restore={first.run_id}", "engine=session", "eval_batch_size=7")
    assert found.metrics["test/accuracy"] == first.metrics["test/accuracy"]


@pytest.mark.parametrize(
    ("override", "had"),
    [
        ("decay=0.99", "decay=0.9"),
        ("seed=1", "seed=0"),
        ("network=cnn", "network=mlp"),
        ("network.widths=[6]", "network.widths=[6, 5]"),
        ("variant=ema", "variant=update_ops"),
        ("optimizer=sgd", "optimizer=adam"),
        ("steps=31", "steps=30"),
        ("dataset=digits", "dataset=npz"),
    ],
)
def test_an_override_that_the_weights_contradict(here, original, override, had):
    _, first = original
    before = len(client(here).search_runs(["1"]))
    with pytest.raises(UserError) as caught:
        run_here(here, f"restore={first.run_id}", override)
    key = override.partition("=")[0]
    assert str(caught.value) == (
        f"restore={first.run_id}: that run was trained with {had}, and its weights cannot be given {override}. "
        f"Leave {key} out, or train a new run without restore."
    )
    assert len(client(here).search_runs(["1"])) == before


def test_an_override_that_says_what_was_so_anyway(here, original):
    _, first = original
    found = run_here(here, f"restore={first.run_id}", "decay=0.90", "network=mlp", "network.widths=[6,5]")
    assert found.metrics["test/accuracy"] == first.metrics["test/accuracy"]


def test_the_data_may_have_moved(here, original, tmp_path):
    _, first = original
    moved = shutil.copy(here / "images.npz", tmp_path / "moved.npz")
    found = run_here(here, f"restore={first.run_id}", "dataset=npz", f"dataset.path={moved}")
    assert found.metrics["test/accuracy"] == first.metrics["test/accuracy"]


def refused(here, run_id):
    before = [run.info.run_id for run in client(here).search_runs(["1"])]
    with pytest.raises(UserError) as caught:
        run_here(here, f"restore={run_id}")
    assert [run.info.run_id for run in client(here).search_runs(["1"])] == before
    return str(caught.value)


def test_an_id_that_does_not_exist(here):
    uri = store(here)
    for run_id in ("0123456789abcdef0123456789abcdef", "latest", "../x"):
        message = refused(here, run_id)
        assert message.startswith(f"restore={run_id}: {uri} has no such run (")
        assert message.endswith("). Copy the run id from the report of a run or from the MLflow UI.")


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_a_run_that_has_not_finished(here, status):
    run = client(here).create_run("1")
    client(here).set_terminated(run.info.run_id, status)
    assert refused(here, run.info.run_id) == (
        f"restore={run.info.run_id}: that run is {status}. Only a run that FINISHED can be restored."
    )


def test_a_run_of_something_else(here):
    run = client(here).create_run("1")
    client(here).log_text(run.info.run_id, "{}", "config.yaml")
    client(here).log_text(run.info.run_id, "x", "checkpoint/x")
    client(here).set_terminated(run.info.run_id, "FINISHED")
    assert refused(here, run.info.run_id) == (
        f"restore={run.info.run_id}: that is no run of bnexp. Copy the run id from the report of one."
    )


@pytest.fixture
def copied(here, original):
    """The artifacts of the run to restore, kept, damaged by the test, and put back."""
    found = artifacts(here, original[1].run_id)
    shutil.copytree(found, here / "kept")
    yield original[1].run_id, found
    shutil.rmtree(found, ignore_errors=True)
    shutil.move(here / "kept", found)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (f"checkpoint/{ARRAYS}", b"PK", f"{ARRAYS} of its checkpoint is damaged. It should have "),
        (f"checkpoint/{MANIFEST}", b"{", f"{MANIFEST} of its checkpoint is damaged ("),
        (f"checkpoint/{MANIFEST}", None, f"no {MANIFEST} in its checkpoint. "),
        ("config.yaml", b"a: [", "its config.yaml is damaged ("),
        ("config.yaml", b"", "its config.yaml lacks dataset, network, variant, optimizer, decay, "),
        ("config.yaml", b"- a", "its config.yaml lacks dataset, "),
        ("config.yaml", None, "its artifact config.yaml cannot be fetched ("),
    ],
)
def test_damaged_artifacts_are_named(here, copied, name, content, said):
    run_id, found = copied
    (found / name).unlink()
    if content is not None:
        (found / name).write_bytes(content)
    assert refused(here, run_id).startswith(f"restore={run_id}: {said}")


def test_a_checkpoint_of_another_network():
    dataset = images()
    model = small_model(dataset, ONE_LAYER["mlp"])
    wider = small_model(dataset, "network.widths=[9]").state()
    with pytest.raises(UserError) as caught:
        assign_checkpoint(model, Checkpoint(wider, {}), "restore=abc")
    assert str(caught.value) == (
        "restore=abc: its checkpoint is of another network: bn1/beta has the shape (9,) there and (5,) here. "
        "Restore it with the bnexp that trained it."
    )
    for change in (lambda state: state.pop("bn1/beta"), lambda state: state.update(new=np.zeros(3))):
        state = dict(model.state())
        change(state)
        with pytest.raises(UserError, match=r"^restore=abc: its checkpoint is of another network"):
            assign_checkpoint(model, Checkpoint(state, {}), "restore=abc")


def test_the_manifest_is_readable(here, original):
    manifest = json.loads((artifacts(here, original[1].run_id) / "checkpoint" / MANIFEST).read_text())
    assert manifest["bytes"] == (artifacts(here, original[1].run_id) / "checkpoint" / ARRAYS).stat().st_size
