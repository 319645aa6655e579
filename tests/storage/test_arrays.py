"""Arrays on the disk come back bit for bit, or not at all, and a file that is damaged is named."""

import json
import os
from hashlib import sha256

import numpy as np
import pytest

from bnexp.storage import arrays as module
from bnexp.storage.arrays import (
    MANIFEST,
    DamagedError,
    load_arrays,
    pack,
    prefixed,
    save_arrays,
    under,
    unpack,
    write_whole,
)

# names as networks have them, one that np.savez would take for its own, and values that tend to suffer
ARRAYS = {
    "dense1/kernel": np.random.default_rng(0).normal(size=[3, 2]).astype(np.float32),
    "file": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
    "bn1/moving_mean": np.zeros([0], np.float32),
    "step": np.array(7, np.int64),
    "Adam/beta1_power": np.array(0.9, np.float64),
    "words": np.array("text"),
}


def assert_bits(found, wanted):
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        assert found[name].tobytes() == value.tobytes(), name


def test_bit_for_bit(tmp_path):
    save_arrays(tmp_path / "a" / "b" / "x.npz", ARRAYS, step=5, kind="text")
    found, manifest = load_arrays(tmp_path / "a" / "b")
    assert_bits(found, ARRAYS)
    content = (tmp_path / "a" / "b" / "x.npz").read_bytes()
    digest = sha256(content).hexdigest()
    assert manifest == {"step": 5, "kind": "text", "file": "x.npz", "sha256": digest, "bytes": len(content)}


def test_equal_arrays_are_equal_files(tmp_path):
    for folder in ("a", "b"):
        save_arrays(tmp_path / folder / "x.npz", ARRAYS)
    for name in ("x.npz", MANIFEST):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert_bits(unpack(pack(ARRAYS)), ARRAYS)


def test_only_the_two_files_are_left(tmp_path):
    for _ in range(2):
        save_arrays(tmp_path / "x.npz", ARRAYS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, "x.npz"]


def test_a_file_is_found_that_its_manifest_does_not_name(tmp_path):
    """As in the checkpoints of older runs."""
    save_arrays(tmp_path / "x.npz", ARRAYS)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    del manifest["file"]
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    found, _ = load_arrays(tmp_path, "x.npz")
    assert_bits(found, ARRAYS)


def test_every_truncation_and_every_changed_byte_is_named(tmp_path):
    path = tmp_path / "x.npz"
    save_arrays(path, ARRAYS)
    whole = path.read_bytes()
    digest = sha256(whole).hexdigest()
    damaged = [whole[:size] for size in (0, 1, len(whole) // 2, len(whole) - 1)] + [whole + b"x"]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 97)]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(DamagedError) as caught:
            load_arrays(tmp_path)
        assert str(caught.value) == (
            f"{path} is damaged: it should have {len(whole)} bytes with SHA-256 {digest}, and has {len(content)} bytes "
            "with another"
        )


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"sha256": "0"}', "null", '{"file": 1}'])
def test_a_damaged_manifest_is_named(tmp_path, content):
    save_arrays(tmp_path / "x.npz", ARRAYS)
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(DamagedError) as caught:
        load_arrays(tmp_path, "x.npz")
    assert str(caught.value).startswith(f"{tmp_path / MANIFEST} is damaged (")


@pytest.mark.parametrize(
    ("missing", "named"), [(["x.npz"], "x.npz"), ([MANIFEST], MANIFEST), (["x.npz", MANIFEST], MANIFEST)]
)
def test_a_missing_file_is_named(tmp_path, missing, named):
    save_arrays(tmp_path / "x.npz", ARRAYS)
    for name in missing:
        (tmp_path / name).unlink()
    with pytest.raises(DamagedError) as caught:
        load_arrays(tmp_path, "x.npz")
    assert str(caught.value) == f"there is no {tmp_path / named}"


def test_a_pickle_is_never_loaded(tmp_path):
    """A manifest that fits does not make a stranger's file safe."""
    np.savez(tmp_path / "x.npz", evil=np.array([{}], dtype=object))
    content = (tmp_path / "x.npz").read_bytes()
    (tmp_path / MANIFEST).write_text(json.dumps({"sha256": sha256(content).hexdigest(), "bytes": len(content)}))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path, "x.npz")


def test_a_kill_between_file_and_manifest_leaves_the_pair_before(tmp_path, monkeypatch):
    save_arrays(tmp_path / "step-1.npz", ARRAYS, step=1)
    write = module.write_whole

    def killed(path, content):
        if path.name == MANIFEST:
            raise SystemExit
        write(path, content)

    monkeypatch.setattr(module, "write_whole", killed)
    with pytest.raises(SystemExit):
        save_arrays(tmp_path / "step-2.npz", {}, step=2)
    assert {path.name for path in tmp_path.iterdir()} == {MANIFEST, "step-1.npz", "step-2.npz"}
    found, manifest = load_arrays(tmp_path)
    assert manifest["step"] == 1
    assert_bits(found, ARRAYS)


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


def test_under_undoes_prefixed():
    one, other = {"bn1": np.zeros(1), "a/b": np.ones(2)}, {"bn1": np.ones(3)}
    joined = prefixed("mean/", one) | prefixed("variance/", other)
    assert list(joined) == ["mean/bn1", "mean/a/b", "variance/bn1"]
    for prefix, wanted in (("mean/", one), ("variance/", other), ("variance", {"/bn1": other["bn1"]}), ("x", {})):
        found = under(prefix, joined)
        assert list(found) == list(wanted)
        assert all(found[name] is wanted[name] for name in wanted)
