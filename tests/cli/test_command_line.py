"""The command line: every mistake gives one message and a status, and leaves nothing half done."""

import os
import pickle
import signal
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow as tf
from small import ONE_LAYER, client, images, save_images, store

from bnexp.record.progress import log_snapshot

QUICK = ("dataset=gaussian", ONE_LAYER["mlp"], "batch_size=4", "steps=3")


def runs(folder):
    return client(folder).search_runs([e.experiment_id for e in client(folder).search_experiments()])


def damaged(folder, **changes):
    """Writes images.npz with some arrays replaced."""
    dataset = images()
    arrays = {name: getattr(dataset, name) for name in ("x_train", "y_train", "x_test", "y_test")} | changes
    np.savez(folder / "images.npz", **arrays)


def truncated(folder):
    content = save_images(folder).read_bytes()
    (folder / "images.npz").write_bytes(content[: len(content) // 2])


OF_FILE = ("dataset=npz", "dataset.path=images.npz", "batch_size=10")

MISTAKES = {
    "unknown variant": (["variant=update_op"], "variant=update_op: there is no such variant. Did you mean update_ops?"),
    "unknown key": (["batchsize=3"], "batchsize=3: there is no such key. Did you mean batch_size?"),
    "added key": (["+batchsize=3"], "batchsize=3: there is no such key. Did you mean batch_size?"),
    "key of a variant": (["variant.decy=1"], "variant.decy=1: variant has no such key. Did you mean decay?"),
    "two decays": (["decay=0.9", "variant.decay=0.99"], "decay=0.9 and variant.decay=0.99: the layer takes one decay,"),
    "added key of a variant": (
        ["+variant.decy=1"],
        "variant.decy=1: bnexp.variant.update_ops.BatchNorm takes no decy.",
    ),
    "no value": (["decay"], "missing EQUAL"),
    "two values": (["decay=0.9,0.99"], "Ambiguous value for argument 'decay=0.9,0.99'"),
    "no number": (["decay=abc"], "Value 'abc' of type 'str' could not be converted to Float"),
    "no name": (["variant=null"], "Config group override must be a string or a list."),
    "decay": (["decay=1"], "decay must be at least 0 and less than 1, got 1.0."),
    "decay of the layer": (["variant.decay=1"], "decay must be at least 0 and less than 1, got 1."),
    "batch_size 0": (["batch_size=0"], "batch_size must be at least 1, got 0."),
    "batch_size too large": (
        [*QUICK, "batch_size=401"],
        "batch_size must be at most the number of training examples, 400, ",
    ),
    "batch_size 1, dense": (
        [*QUICK, "batch_size=1"],
        "batch_size=1: one example gives bn1 one value a channel",
    ),
    "no path": (["dataset=npz"], "dataset.path must be given, and has no default."),
    "no file": (["dataset=npz", "dataset.path=none.npz"], "dataset.path=none.npz: no such file"),
    "vectors for a cnn": (["dataset=gaussian", "network=cnn"], "network=cnn takes images [height, width, channels]"),
    "sizes": (
        ["network.widths=[10,0]"],
        "network.widths must be a list of whole numbers, each 1 or more, got [10, 0].",
    ),
    "no module": (
        ["variant._target_=nowhere.Layer"],
        "variant._target_=nowhere.Layer: cannot be loaded (No module named",
    ),
    "no such class": (
        ["variant._target_=bnexp.variant.Nope"],
        "variant._target_=bnexp.variant.Nope: cannot be loaded (",
    ),
    "restore": (["restore=0123abc"], "restore=0123abc: sqlite:///"),
    "nobody answers": (
        [*QUICK, "tracking.uri=http://127.0.0.1:9"],
        "tracking.uri=http://127.0.0.1:9: no tracking store ",
    ),
    "unknown scheme": ([*QUICK, "tracking.uri=foo://x"], "tracking.uri=foo://x: no tracking store answers there ("),
    "unwritable store": (
        [*QUICK, "tracking.uri=sqlite:////proc/x/m.db"],
        "tracking.uri=sqlite:////proc/x/m.db: must be a",
    ),
    "unwritable output": (
        ["hydra.run.dir=/proc/x"],
        "hydra.run.dir: must be a folder that can be written to, got /proc/x",
    ),
}

FILES = {
    "truncated": (truncated, "dataset.path=images.npz: truncated or damaged"),
    "no npz": (
        lambda folder: (folder / "images.npz").write_text("x,y\n1,2\n"),
        "dataset.path=images.npz: not an .npz file",
    ),
    "a pickle": (
        lambda folder: (folder / "images.npz").write_bytes(pickle.dumps({"x_train": 1})),
        "dataset.path=images.npz: not an .npz file",
    ),
    "pickled objects": (
        lambda folder: damaged(folder, x_train=np.array([{}], dtype=object)),
        "dataset.path=images.npz: x_train holds pickled Python objects",
    ),
    "shape": (
        lambda folder: damaged(folder, x_train=np.zeros(60, np.float32)),
        "dataset.path=images.npz: x_train must be [n, features], [n, height, width] or [n, height, width, channels]",
    ),
    "lengths": (
        lambda folder: damaged(folder, y_train=np.zeros(59, np.int32)),
        "dataset.path=images.npz: x_train and y_train must have one label for each example, got 60 examples and 59",
    ),
    "label": (
        lambda folder: damaged(folder, y_test=np.full(30, 3, np.int32)),
        "dataset.path=images.npz: y_test must be in [0, 3), got others in 30 of 30 rows",
    ),
    "NaN": (
        lambda folder: damaged(folder, x_test=np.full([30, 4, 4, 2], np.nan, np.float32)),
        "dataset.path=images.npz: x_test must be finite in float32, got NaN or infinity in 960 of 960 values",
    ),
}


def assert_one_message(status, err, words):
    assert status == 1
    assert "Traceback" not in err
    assert err.count("bnexp: ") == 1
    assert err.startswith("bnexp: ")
    assert words in err
    assert "HYDRA_FULL_ERROR" not in err


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(bnexp, folder, case):
    arguments, words = MISTAKES[case]
    status, _, err = bnexp(f"tracking.uri={store(folder)}", *arguments)
    assert_one_message(status, err, words)
    assert runs(folder) == []


@pytest.mark.parametrize("case", FILES)
def test_files_that_cannot_be_used(bnexp, folder, case):
    write, words = FILES[case]
    write(folder)
    status, _, err = bnexp(f"tracking.uri={store(folder)}", *OF_FILE)
    assert_one_message(status, err, words)
    assert runs(folder) == []


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU here")
def test_a_gpu_where_there_is_none(bnexp, folder):
    status, _, err = bnexp(f"tracking.uri={store(folder)}", "device=gpu")
    assert_one_message(status, err, "device=gpu: TensorFlow sees no GPU. Install CUDA with pip install -e '.[cuda]'")
    assert runs(folder) == []


@pytest.mark.parametrize("sweep", [[], ["-m"]])
def test_runs_is_a_file(bnexp, folder, sweep):
    (folder / "runs").touch()
    status, _, err = bnexp(*sweep, *QUICK)
    assert_one_message(
        status, err, f"runs: must be a folder that can be written to, got {folder / 'runs'} (File exists)."
    )
    assert sorted(path.name for path in folder.iterdir()) == ["runs"]


def test_questions_need_no_folder(bnexp, folder):
    (folder / "runs").touch()
    for arguments in (["--help"], ["--cfg", "job"]):
        status, out, err = bnexp(*arguments)
        assert (status, err) == (0, "")
        assert out


def test_a_bug_keeps_its_traceback(bnexp, folder, monkeypatch):
    # a mock's frames are the library's; a function here would be a user's own code
    monkeypatch.setattr("bnexp.run.choose_device", Mock(side_effect=IndexError("list index out of range")))
    status, _, err = bnexp(f"tracking.uri={store(folder)}", *QUICK)
    assert status == 1
    assert err.startswith("Traceback")
    assert err.endswith("bnexp: IndexError: list index out of range. This is a bug in bnexp.\n")


def test_an_error_of_tensorflow_s_is_one_message_and_a_failed_run(bnexp, folder, monkeypatch):
    exhausted = Mock(side_effect=tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"))
    monkeypatch.setattr("bnexp.engine.model.Model.train", exhausted)
    status, _, err = bnexp(f"tracking.uri={store(folder)}", *QUICK)
    assert_one_message(status, err, "out of memory (OOM when allocating tensor). Take a smaller batch_size, ")
    (run,) = runs(folder)
    assert run.info.status == "FAILED"
    assert run.data.tags["bnexp.error"] == "OOM when allocating tensor"


@pytest.mark.slow
def test_a_failing_job_does_not_stop_the_others(bnexp, folder):
    status, out, err = bnexp("-m", f"tracking.uri={store(folder)}", *QUICK, "decay=0.9,1.5,0.5")
    assert status == 1
    assert "Traceback" not in err
    jobs = {run.data.params["decay"]: run for run in runs(folder) if "decay" in run.data.params}
    assert {decay: run.info.status for decay, run in jobs.items()} == {
        "0.9": "FINISHED",
        "1.5": "FAILED",
        "0.5": "FINISHED",
    }
    told = "decay must be at least 0 and less than 1, got 1.5. 0.9 suits short runs, 0.999 long ones."
    assert jobs["1.5"].data.tags["bnexp.error"] == told
    assert told in err
    assert err.splitlines()[-1].startswith("bnexp: 1 of the sweep's jobs did not finish: ")
    assert not [run for run in runs(folder) if run.info.status == "RUNNING"]
    # a line a job, and at the end what puts them side by side
    first, third, *_ = out.splitlines()
    assert (first.split()[0], third.split()[0]) == ("1/3", "3/3")
    assert " decay=0.9 " in first
    assert " decay=0.5 " in third
    assert "see it in MLflow" in out
    assert "evaluation" not in out


def test_a_sweep_over_a_name_that_does_not_exist_starts_nothing(bnexp, folder):
    status, _, err = bnexp("-m", f"tracking.uri={store(folder)}", *QUICK, "variant=ema,nope")
    assert status == 1
    assert "Traceback" not in err
    assert err.startswith("bnexp: variant=nope: there is no such variant. ")
    assert [run.info.status for run in runs(folder) if "variant" in run.data.params] == []


def assert_killed(folder, number):
    (run,) = runs(folder)
    assert run.info.status == "KILLED"
    assert run.data.tags["bnexp.error"] == f"stopped by {signal.Signals(number).name}"
    assert "train/loss" in run.data.metrics
    (found,) = (folder / "runs" / "artifacts").rglob("trajectories.npz")
    with np.load(found) as archive:
        assert len(archive["steps"]) > 0


def killed_message(number):
    name = signal.Signals(number).name
    return f"bnexp: stopped by {name}. A run that had started is KILLED and keeps what it measured.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_as_killed(bnexp, folder, monkeypatch, number):
    """From the inside, so that it comes right after the second snapshot; tests/sweep has those from the outside."""
    sent = []

    def log_then_end(tracker, model, snapshot, *, steps):
        log_snapshot(tracker, model, snapshot, steps=steps)
        sent.append(snapshot.step)
        if len(sent) == 2:
            os.kill(os.getpid(), number)

    monkeypatch.setattr("bnexp.record.progress.log_snapshot", log_then_end)
    # where a shell started the tests in its background, Ctrl-C is ignored, and rightly by bnexp too
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)
    status, _, err = bnexp(f"tracking.uri={store(folder)}", *QUICK)
    assert status == 128 + number
    assert err == killed_message(number)
    assert sent == [1, 2]
    assert_killed(folder, number)


def test_a_variant_s_old_name_goes_on_working(bnexp):
    for name in ("sample_wise", "layer_norm"):
        status, out, err = bnexp("--cfg", "job", f"variant={name}")
        assert (status, err) == (0, "")
        assert "_target_: bnexp.variant.layer_norm.BatchNorm" in out
