"""A finished run's weights again: another final pass and evaluation, no training."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import tensorflow as tf
from small import ONE_LAYER, artifacts, client, images, run_here, save_images, small_model, store

from bnexp.errors import UserError
from bnexp.record.restore import assign_checkpoint
from bnexp.storage.arrays import MANIFEST
from bnexp.storage.checkpoint import ARRAYS, Checkpoint, load_checkpoint
from bnexp.variant.update_ops import BatchNorm as UpdateOps

v1 = tf.compat.v1


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


def test_overrides_that_say_what_was_so_anyway_and_data_that_has_moved(here, original, tmp_path):
    _, first = original
    moved = shutil.copy(here / "images.npz", tmp_path / "moved.npz")
    same = ("decay=0.90", "variant.decay=0.9", "network=mlp", "network.widths=[6,5]")
    found = run_here(here, f"restore={first.run_id}", *same, "dataset=npz", f"dataset.path={moved}")
    assert found.metrics["test/accuracy"] == first.metrics["test/accuracy"]
    assert client(here).get_run(found.run_id).data.params["dataset.path"] == str(moved)


def older(here, run_id, *, params=(), config=()):
    """Makes of a run one that an older bnexp left: other params, and other words in its config.yaml."""
    with closing(sqlite3.connect(here / "runs" / "mlflow.db")) as connection, connection:
        for key, value in dict(params).items():
            connection.execute("update params set value = ? where run_uuid = ? and key = ?", (value, run_id, key))
    path = artifacts(here, run_id) / "config.yaml"
    text = path.read_text()
    for words, others in dict(config).items():
        assert words in text
        text = text.replace(words, others)
    path.write_text(text)


SMALL = ("dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4", "steps=3")


def test_a_run_whose_variant_was_renamed(folder, undrawn):
    first = run_here(folder, *SMALL, "variant=layer_norm", sweep=True)
    target = {"variant.layer_norm.BatchNorm": "variant.sample_wise.BatchNorm", "verbose: false\n": ""}
    params = {"variant": "sample_wise", "variant._target_": "bnexp.variant.sample_wise.BatchNorm"}
    older(folder, first.run_id, params=params, config=target)
    found = run_here(folder, f"restore={first.run_id}", "variant=layer_norm", sweep=True)
    assert found.metrics["test/accuracy"] == first.metrics["test/accuracy"]
    assert found.verdict == first.verdict
    assert client(folder).get_run(found.run_id).data.params["variant"] == "layer_norm"


def test_a_run_that_has_its_layer_s_decay_apart(folder, undrawn):
    """As older ones, where only that was given: it is what the weights were trained with."""
    first = run_here(folder, *SMALL, "variant.decay=0.99", sweep=True)
    older(folder, first.run_id, params={"decay": "0.9"}, config={"\ndecay: 0.99\n": "\ndecay: 0.9\n"})
    with pytest.raises(UserError, match=r"was trained with decay=0\.99, and its weights cannot be given decay=0\.9\."):
        run_here(folder, f"restore={first.run_id}", "decay=0.9")
    found = run_here(folder, f"restore={first.run_id}", "decay=0.99", sweep=True)
    params = client(folder).get_run(found.run_id).data.params
    assert (params["decay"], params["variant.decay"]) == ("0.99", "0.99")


def left_to_others(inputs, training, decay, epsilon):
    """A layer whose updates somebody has to run."""
    size = inputs.shape[-1:]
    mean = v1.get_variable("moving_mean", size, initializer=v1.zeros_initializer(), trainable=False)
    variance = v1.get_variable("moving_variance", size, initializer=v1.ones_initializer(), trainable=False)
    if not training:
        return tf.nn.batch_normalization(inputs, mean, variance, None, None, epsilon)
    batch = tf.nn.moments(inputs, [0])
    for moving, value in zip((mean, variance), batch, strict=True):
        v1.add_to_collection("mine", moving.assign(decay * moving + (1 - decay) * value))
    return tf.nn.batch_normalization(inputs, *batch, None, None, epsilon)


def test_a_run_from_before_there_was_a_choice_of_updates(folder, undrawn):
    own = ("variant=update_ops", f"variant._target_={__name__}.left_to_others")
    first = run_here(folder, *SMALL, *own, "updates=mine", sweep=True)
    assert client(folder).get_run(first.run_id).data.params["updates"] == "mine"
    again = run_here(folder, f"restore={first.run_id}", sweep=True)
    assert client(folder).get_run(again.run_id).data.params["updates"] == "mine"
    with pytest.raises(
        UserError, match=r"was trained with updates=mine, and its weights cannot be given updates=auto\."
    ):
        run_here(folder, f"restore={first.run_id}", "updates=auto")
    plain = run_here(folder, *SMALL, sweep=True)
    older(folder, plain.run_id, config={"updates: auto\n": ""})
    found = run_here(folder, f"restore={plain.run_id}", sweep=True)
    assert found.metrics["test/accuracy"] == plain.metrics["test/accuracy"]
    assert client(folder).get_run(found.run_id).data.params["updates"] == "auto"


class Mine(UpdateOps):
    """A layer of the user's own."""


def test_a_run_of_one_s_own_layer(folder, undrawn):
    own = ("variant=update_ops", f"variant._target_={__name__}.Mine")
    first = run_here(folder, *SMALL, *own, sweep=True)
    assert client(folder).get_run(first.run_id).data.params["variant"] == f"{__name__}.Mine"
    found = run_here(folder, f"restore={first.run_id}", *own, sweep=True)
    assert found.metrics["test/accuracy"] == first.metrics["test/accuracy"]
    with pytest.raises(UserError, match=r"cannot be given variant=update_ops\."):
        run_here(folder, f"restore={first.run_id}", "variant=update_ops")


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
        f"restore={run.info.run_id}: that is not a run of bnexp. Copy the run id from the report of one."
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
        (f"checkpoint/{ARRAYS}", b"PK", "its checkpoint cannot be read: "),
        (f"checkpoint/{MANIFEST}", b"{", "its checkpoint cannot be read: "),
        (f"checkpoint/{MANIFEST}", None, "its checkpoint cannot be read: there is no "),
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
    message = refused(here, run_id)
    assert message.startswith(f"restore={run_id}: {said}")
    # which of its files it is
    assert name in message


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
