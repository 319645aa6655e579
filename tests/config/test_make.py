"""From a node of the settings to what it describes, and what is said of a node that describes nothing."""

import sys

import pytest
from small import settings

from bnexp.config.make import make
from bnexp.dataset import Dataset
from bnexp.errors import UserError


def test_a_group_becomes_what_it_names():
    assert isinstance(make(settings("dataset=constant"), "dataset"), Dataset)
    layer = make(settings("variant=ema", "decay=0.5"), "variant")(name="x")
    assert layer.name == "x"


@pytest.mark.parametrize(
    ("override", "group", "message"),
    [
        (
            "+variant.decy=1",
            "variant",
            "variant.decy=1: bnexp.variant.update_ops.BatchNorm takes no decy. Leave it out; it takes decay, epsilon.",
        ),
        (
            "+dataset.size=1",
            "dataset",
            "dataset.size=1: bnexp.dataset.digits.load takes no size. Leave it out; it takes no key.",
        ),
        (
            "variant._target_=nowhere.Layer",
            "variant",
            "variant._target_=nowhere.Layer: cannot be loaded (No module named 'nowhere'). "
            "Write the full name of a class or function that can be imported.",
        ),
        (
            "network._target_=bnexp.network.mlp.nope",
            "network",
            "network._target_=bnexp.network.mlp.nope: cannot be loaded (module 'bnexp.network.mlp' has no attribute "
            "'nope'). Write the full name of a class or function that can be imported.",
        ),
        (
            "network._target_=bnexp.network.mlp.v1.nope",
            "network",
            "network._target_=bnexp.network.mlp.v1.nope: cannot be loaded (",
        ),
    ],
)
def test_a_target_or_a_key_that_does_not_exist(override, group, message):
    with pytest.raises(UserError) as caught:
        make(settings(override), group)
    assert str(caught.value).startswith(message)


def test_a_mistake_that_the_target_finds_is_told_as_it_is():
    with pytest.raises(UserError) as caught:
        make(settings("dataset=npz", "dataset.path=none.npz"), "dataset")
    assert str(caught.value).startswith("dataset.path=none.npz: no such file")


def test_a_bug_in_a_target_keeps_its_own_type(tmp_path, monkeypatch):
    """A user's own dataset with an error of its own: no story about the configuration."""
    (tmp_path / "own_dataset.py").write_text("def load():\n    return {}['missing']\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(KeyError, match="missing"):
            make(settings("dataset._target_=own_dataset.load"), "dataset")
    finally:
        sys.modules.pop("own_dataset", None)
