"""A checkpoint comes back bit for bit, or not at all."""

import json
import re

import numpy as np
import pytest

from bnexp.errors import UserError
from bnexp.storage.arrays import MANIFEST
from bnexp.storage.checkpoint import ARRAYS, Checkpoint, load_checkpoint, save_checkpoint


@pytest.fixture
def saved():
    variables = {
        "dense1/kernel": np.random.default_rng(0).normal(size=[3, 2]).astype(np.float32),
        "file": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
        "bn1/moving_mean": np.zeros([0], np.float32),
        "last_averages/x": np.array(7, np.int64),
    }
    return Checkpoint(variables, {"bn1/moving_mean": np.ones(3, np.float32), "variables/x": np.zeros(2)})


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


def test_it_is_two_files_of_which_one_is_readable(tmp_path, saved):
    save_checkpoint(tmp_path, saved)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, ARRAYS]
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["bytes"] == (tmp_path / ARRAYS).stat().st_size
    assert manifest["count"] == 6


def test_one_of_an_older_bnexp_is_read(tmp_path, saved):
    """Its manifest does not name its file."""
    save_checkpoint(tmp_path, saved)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({key: manifest[key] for key in ("sha256", "bytes")} | {"arrays": 6}))
    assert_bits(load_checkpoint(tmp_path).variables, saved.variables)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (ARRAYS, b"PK", "variables.npz is damaged: it should have "),
        (ARRAYS, None, "there is no "),
        (MANIFEST, b"{", "manifest.json is damaged ("),
        (MANIFEST, None, "there is no "),
    ],
)
def test_what_cannot_be_read_is_told_with_whose_it_is_and_a_cure(tmp_path, saved, name, content, reason):
    save_checkpoint(tmp_path, saved)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path, "restore=abc")
    assert re.match(f"restore=abc: its checkpoint cannot be read: .*{re.escape(reason)}", str(caught.value))
    assert name in str(caught.value)
    assert str(caught.value).endswith(". Restore another run that has finished, or train anew.")
