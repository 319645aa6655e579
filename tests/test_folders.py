"""Folders that cannot be written to are told before anything is written."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from bnexp.errors import UserError
from bnexp.folders import RequireFolders, require_writable, sqlite_file


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


@pytest.mark.parametrize("start", ["on_run_start", "on_multirun_start"])
def test_hydra_is_stopped_by_an_exit_that_it_does_not_make_a_warning_of(folder, start, capsys):
    config = OmegaConf.create({"hydra": {"run": {"dir": "runs/a"}, "sweep": {"dir": "runs/b"}}})
    getattr(RequireFolders(), start)(config)
    assert (folder / "runs").is_dir()
    config.hydra.run.dir = config.hydra.sweep.dir = "/proc/x"
    with pytest.raises(SystemExit) as caught:
        getattr(RequireFolders(), start)(config)
    assert caught.value.code == 1
    key = "hydra.run.dir" if start == "on_run_start" else "hydra.sweep.dir"
    assert capsys.readouterr().err.startswith(f"bnexp: {key}: must be a folder that can be written to, got /proc/x ")


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:///runs/mlflow.db", "runs/mlflow.db"),
        ("sqlite:////srv/mlflow.db?timeout=60", "/srv/mlflow.db"),
        ("http://127.0.0.1:5000", None),
        ("postgresql://me@host/mlflow", None),
    ],
)
def test_the_file_of_a_store(uri, file):
    assert sqlite_file(uri) == file
