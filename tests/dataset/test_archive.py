"""The reader behind `dataset.path`: what it takes, and what it says to files that it cannot take."""

import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnexp.dataset import archive
from bnexp.dataset.archive import read_arrays, read_dataset
from bnexp.errors import UserError

CURE = "Give the path of an .npz file with x_train, y_train, x_test and y_test."
GOOD = {
    "x_train": np.arange(300, dtype=np.float32).reshape(30, 10),
    "y_train": np.arange(30) % 3,
    "x_test": -np.arange(50, dtype=np.float32).reshape(5, 10),
    "y_test": np.arange(5) % 3,
}


@pytest.fixture
def good(tmp_path):
    """A file as np.savez writes it."""
    np.savez(tmp_path / "good.npz", **GOOD)
    return tmp_path / "good.npz"


def message_of(path) -> str:
    """What the user reads."""
    with pytest.raises(UserError) as caught:
        read_dataset(path)
    return str(caught.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_numpy_writes(save, tmp_path):
    save(tmp_path / "a.npz", more=np.zeros(3), **GOOD)
    dataset = read_dataset(tmp_path / "a.npz")
    for name, array in GOOD.items():
        np.testing.assert_array_equal(getattr(dataset, name), array)
    assert dataset.num_classes == 3
    assert read_dataset(str(tmp_path / "a.npz"), num_classes=7).num_classes == 7


def test_home_and_current_directory(good, monkeypatch):
    monkeypatch.setenv("HOME", str(good.parent))
    assert set(read_arrays("~/good.npz")) == set(GOOD)
    monkeypatch.chdir(good.parent)
    assert set(read_arrays("good.npz")) == set(GOOD)


def test_no_such_file(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    assert message_of(path) == f"dataset.path={path}: no such file. {CURE}"
    monkeypatch.chdir(tmp_path)
    assert message_of("x.npz") == f"dataset.path=x.npz: no such file ({path}). {CURE}"
    assert message_of("") == f"dataset.path=: no such file ({tmp_path}). {CURE}"


def test_unknown_user(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    looked_at = tmp_path / "~nobody-of-this-name" / "x.npz"
    assert message_of("~nobody-of-this-name/x.npz") == (
        f"dataset.path=~nobody-of-this-name/x.npz: no such file ({looked_at}). {CURE}"
    )


def test_directory(tmp_path):
    assert message_of(tmp_path) == f"dataset.path={tmp_path}: a directory. {CURE}"


def test_no_permission(good, monkeypatch):
    # not by chmod: who runs the tests as root may read everything
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(archive, "open", refuse, raising=False)
    assert message_of(good) == f"dataset.path={good}: cannot be read (Permission denied). Check its permissions."


@pytest.mark.parametrize(
    ("content", "magic"), [(b"x_train,y_train\n", b"x_"), (b"", b""), (pickle.dumps(GOOD, protocol=2), b"\x80\x02")]
)
def test_not_an_npz(content, magic, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    assert message_of(path) == (
        f"dataset.path={path}: not an .npz file, which starts with b'PK', got {magic!r}. {CURE}"
    )


def test_npy(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, GOOD["x_train"])
    start = repr(b"\x93N")
    assert message_of(path) == f"dataset.path={path}: not an .npz file, which starts with b'PK', got {start}. {CURE}"


def test_truncated(good):
    content = good.read_bytes()
    good.write_bytes(content[: len(content) // 2])
    assert message_of(good) == (
        f"dataset.path={good}: truncated or damaged: its directory cannot be read "
        "(BadZipFile: File is not a zip file). Copy or write the file again."
    )


def test_damaged_array(good):
    content = bytearray(good.read_bytes())
    place = content.index(GOOD["x_test"].tobytes())
    content[place] ^= 1  # one bit: the zip's checksum notices
    good.write_bytes(content)
    assert message_of(good) == (
        f"dataset.path={good}: truncated or damaged: x_test cannot be read "
        "(BadZipFile: Bad CRC-32 for file 'x_test.npy'). Copy or write the file again."
    )


def test_member_that_is_no_array(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as file:
        for name in GOOD:
            file.writestr(name, "1,2,3")
    assert message_of(path) == (
        f"dataset.path={path}: truncated or damaged: x_train cannot be read (ValueError: not a NumPy array). "
        "Copy or write the file again."
    )


def test_pickled_objects(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, **{**GOOD, "y_train": np.array(["cat", None] * 15, dtype=object)})
    assert message_of(path) == (
        f"dataset.path={path}: y_train holds pickled Python objects, which bnexp never loads, since a pickle can run "
        "code. Save it as an array of numbers with one shape for all rows."
    )


@pytest.mark.parametrize(
    ("names", "missing", "holds"),
    [
        (["x_train", "y_train"], "x_test, y_test", "x_train, y_train"),
        (["x_train", "x_test", "y_test"], "y_train", "x_train, x_test, y_test"),
        ([], "x_train, y_train, x_test, y_test", "nothing"),
    ],
)
def test_missing_arrays(names, missing, holds, tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, **{name: GOOD[name] for name in names})
    assert message_of(path) == (
        f"dataset.path={path}: no {missing} in this file; it holds {holds}. "
        "Write it with np.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)."
    )


def test_wrong_shapes_name_the_file(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, **{**GOOD, "y_train": np.arange(29)})
    assert message_of(path) == (
        f"dataset.path={path}: x_train and y_train must have one label for each example, got 30 examples and 29 "
        "labels. Save the rows that belong together."
    )


@settings(deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_gives_a_traceback(data, tmp_path):
    """Bytes changed anywhere either leave the arrays as they were or end in a UserError."""
    path = tmp_path / "x.npz"
    data.draw(st.sampled_from([np.savez, np.savez_compressed]), "save")(path, **GOOD)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4), "changes")):
        content[data.draw(st.integers(0, len(content) - 1), "place")] = data.draw(st.integers(0, 255), "byte")
    path.write_bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))), "length")])
    try:
        dataset = read_dataset(path)
    except UserError:
        return
    for name, array in GOOD.items():
        np.testing.assert_array_equal(getattr(dataset, name), array)
