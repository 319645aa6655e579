"""The files that a run leaves: each of them there, and holding what it should."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from small import ONE_LAYER, images, rows, settings, small_model

from bnexp.config.schema import GROUPS
from bnexp.config.settings import settings_of
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.evaluation.estimators import Estimators
from bnexp.record.artifacts import write_artifacts
from bnexp.record.identity import identify
from bnexp.statistics.moments import Moments
from bnexp.storage.checkpoint import load_checkpoint
from bnexp.training.trajectory import Trajectories

OVERRIDES = ("network.widths=[5]", "tracking.uri='postgresql://me:secret@host/db'")
ESTIMATORS = Estimators(
    pd.DataFrame([{"decay": d, "ddof": 0, "zero_debias": False, "accuracy": d / 2} for d in (0.5, 0.9)]), 0.75
)


@pytest.fixture(scope="module")
def trained():
    """A network after three steps, what it recorded, and its variables."""
    dataset = images()
    model = small_model(dataset, ONE_LAYER["mlp"])
    steps = model.train(dataset.x_train, dataset.y_train, rows(dataset, 3), calls=None)
    population = {"bn1": Moments(np.zeros(5), np.ones(5))}
    trajectories = Trajectories(np.arange(1, 4), steps.losses, steps.accuracies, steps.layers, {3: population})
    return model, trajectories, model.state()


def written(folder, trained, **words):
    model, trajectories, last = trained
    given = settings(*OVERRIDES)
    choices = dict(zip(GROUPS, ("digits", "mlp", "update_ops", "none", "adam"), strict=True))
    words = {"trajectories": trajectories, "estimators": ESTIMATORS, "last_averages": last} | words
    write_artifacts(folder, given, identify(given, choices), model, Diagnosis("healthy", "all is well"), **words)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_all_of_a_run_that_trained(tmp_path, trained):
    assert written(tmp_path / "a" / "b", trained) == [
        "checkpoint/manifest.json",
        "checkpoint/variables.npz",
        "config.yaml",
        "diagnosis.json",
        "ladder.csv",
        "ladder.png",
        "trajectories.npz",
        "trajectories.png",
    ]
    folder = tmp_path / "a" / "b"
    assert json.loads((folder / "diagnosis.json").read_text()) == {
        **asdict(Diagnosis("healthy", "all is well")),
        "also": [],
        "findings": [],
    }
    pd.testing.assert_frame_equal(pd.read_csv(folder / "ladder.csv"), ESTIMATORS.table)
    with np.load(folder / "trajectories.npz") as arrays:
        np.testing.assert_array_equal(arrays["loss"], trained[1].losses)
    for name in ("ladder.png", "trajectories.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_a_run_that_was_restored_has_no_trajectories(tmp_path, trained):
    assert written(tmp_path, trained, trajectories=None, estimators=None) == [
        "checkpoint/manifest.json",
        "checkpoint/variables.npz",
        "config.yaml",
        "diagnosis.json",
    ]


def test_the_config_is_the_settings_without_a_password(tmp_path, trained):
    written(tmp_path, trained, trajectories=None, estimators=None)
    text = (tmp_path / "config.yaml").read_text()
    assert "secret" not in text
    tree = OmegaConf.to_container(OmegaConf.create(text))
    wanted = settings(*OVERRIDES).as_dict()
    wanted["tracking"]["uri"] = "postgresql://me:***@host/db"
    assert settings_of(tree).as_dict() == wanted


def test_the_checkpoint_has_what_a_final_pass_replaced(tmp_path, trained):
    model, _, last = trained
    with model.untouched():
        model.assign_moving_statistics({"bn1": Moments(np.full(5, 7.0), last["bn1/moving_variance"])})
        written(tmp_path, trained, trajectories=None, estimators=None)
        now = model.state()
    found = load_checkpoint(tmp_path / "checkpoint")
    assert list(found.variables) == list(now)
    for name, value in now.items():
        np.testing.assert_array_equal(found.variables[name], value)
    assert list(found.last_averages) == ["bn1/moving_mean"]
    np.testing.assert_array_equal(found.last_averages["bn1/moving_mean"], last["bn1/moving_mean"])
