"""A checkpoint comes back bit for bit, or not at all."""

import json
import os

import numpy as np
import pytest

from bnexp import checkpoint
from bnexp.checkpoint import ARRAYS, MANIFEST, Checkpoint, load_checkpoint, save_checkpoint, write_whole
from bnexp.errors import UserError


@pytest.fixture
def saved():
    """Names as networks have them, one that np.savez would take for its own, and values that tend to suffer."""
    variables = {
        "dense1/kernel": np.random.default_rng(0).normal(size=[3, 2]).astype(np.float32),
        "file": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
        "bn1/moving_mean": np.zeros([0], np.float32),
        "step": np.array(7, np.int64),
        "Adam/beta1_power": np.array(0.9, np.float64),
    }
    return Checkpoint(variables, {"bn1/moving_mean": np.ones(3, np.float32)})


def assert_bits(found, wanted):
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert found[name].tobytes() == value.tobytes(), name


def test_bit_for_bit(tmp_path, saved):
    save_checkpoint(tmp_path / "a" / "b", saved)
    found = load_checkpoint(tmp_path / "a" / "b")
    assert_bits(found.variables, saved.variables)
    assert_bits(found.last_averages, saved.last_averages)


def test_equal_checkpoints_are_equal_files(tmp_path, saved):
    for folder in ("a", "b"):
        save_checkpoint(tmp_path / folder, saved)
    for name in (ARRAYS, MANIFEST):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_only_the_two_files_are_left(tmp_path, saved):
    save_checkpoint(tmp_path, saved)
    save_checkpoint(tmp_path, saved)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, ARRAYS]


def test_every_truncation_and_every_changed_byte_is_named(tmp_path, saved):
    save_checkpoint(tmp_path, saved)
    whole = (tmp_path / ARRAYS).read_bytes()
    damaged = [whole[:size] for size in (0, 1, len(whole) // 2, len(whole) - 1)] + [whole + b"x"]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 97)]
    for content in damaged:
        (tmp_path / ARRAYS).write_bytes(content)
        said = rf"^restore=abc: {ARRAYS} of its checkpoint is damaged\. .*{len(whole)} bytes"
        with pytest.raises(UserError, match=said):
            load_checkpoint(tmp_path, "restore=abc")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"sha256": "0"}', "null"])
def test_a_damaged_manifest_is_named(tmp_path, saved, content):
    save_checkpoint(tmp_path, saved)
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(UserError, match=f"^restore=abc: {MANIFEST} of its checkpoint is damaged"):
        load_checkpoint(tmp_path, "restore=abc")


@pytest.mark.parametrize("missing", [[ARRAYS], [MANIFEST], [ARRAYS, MANIFEST]])
def test_a_missing_file_is_named(tmp_path, saved, missing):
    save_checkpoint(tmp_path, saved)
    for name in missing:
        (tmp_path / name).unlink()
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path, "restore=abc")
    assert str(caught.value) == (
        f"restore=abc: no {' and no '.join(missing)} in its checkpoint. Restore a run that has finished."
    )


def test_a_pickle_is_never_loaded(tmp_path, saved):
    """A manifest that fits does not make a stranger's file safe."""
    objects = {"variables/evil": np.array([{}], dtype=object)}
    np.savez(tmp_path / ARRAYS, **objects)
    content = (tmp_path / ARRAYS).read_bytes()
    digest = checkpoint.sha256(content).hexdigest()
    (tmp_path / MANIFEST).write_text(json.dumps({"sha256": digest, "bytes": len(content)}))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_checkpoint(tmp_path)


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_whole(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_whoever_reads_meanwhile_finds_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_whole(path, b"old")
    seen = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (fsync(file), seen.append(path.read_bytes())))
    write_whole(path, b"new")
    assert seen == [b"old"]
    assert path.read_bytes() == b"new"
