"""Hydra's callbacks: folders are checked before Hydra writes to them."""

import pytest
from omegaconf import OmegaConf

from bnexp.cli.callbacks import RequireFolders


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
