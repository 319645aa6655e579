"""Folders that cannot be written to are told before anything is written."""

from pathlib import Path

import pytest

from bnexp.errors import UserError
from bnexp.storage.folders import require_writable


def test_a_folder_is_made(folder):
    require_writable(folder / "a" / "b", "x")
    assert (folder / "a" / "b").is_dir()
    assert list((folder / "a" / "b").iterdir()) == []


@pytest.mark.parametrize(
    ("place", "reason"),
    [("file", "File exists"), ("file/below", "Not a directory"), ("/proc/bnexp", "No such file or directory")],
)
def test_one_that_cannot_be_written_to(folder, place, reason):
    Path("file").touch()
    with pytest.raises(UserError) as caught:
        require_writable(Path(place), "runs")
    assert str(caught.value) == (
        f"runs: must be a folder that can be written to, got {folder / place} ({reason}). "
        "Start bnexp in a folder of your own, or move what stands in the way."
    )


def test_one_that_exists_and_takes_no_files(folder):
    """Not even from root: /proc is a folder of the kernel's."""
    with pytest.raises(UserError, match=r"^runs: must be a folder that can be written to, got /proc \("):
        require_writable(Path("/proc"), "runs")
