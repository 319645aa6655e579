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


def test_a_bug_in_a_target_is_told_with_its_line(tmp_path, monkeypatch):
    """A user's own dataset with an error of its own: where it stands, and no story about the configuration."""
    (tmp_path / "own_dataset.py").write_text("def load():\n    return {}['missing']\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(UserError) as caught:
            make(settings("dataset._target_=own_dataset.load"), "dataset")
    finally:
        sys.modules.pop("own_dataset", None)
    assert str(caught.value) == (
        "dataset._target_=own_dataset.load: your own code raised an exception\n"
        f"  {tmp_path / 'own_dataset.py'}, line 2, in load\n"
        "    return {}['missing']\n"
        "KeyError: 'missing'"
    )
    assert type(caught.value.__cause__) is KeyError


def test_a_bug_in_bnexp_keeps_its_own_type(monkeypatch):
    monkeypatch.setattr("bnexp.dataset.constant.make_dataset", None)
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        make(settings("dataset=constant"), "dataset")


def module_of(tmp_path, monkeypatch, code):
    """Makes a module `own_layer` with this code, and unloads it after the test."""
    (tmp_path / "own_layer.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_layer", raising=False)


LAYER = """
class Layer:
    def __init__(self, **options):
        self.options = options

    def __call__(self, inputs, training, data_format="NHWC"):
        return inputs

def function(inputs, training, **options):
    return inputs
"""


@pytest.mark.parametrize("target", ["Layer", "function"])
def test_only_what_the_user_writes_reaches_what_takes_anything(tmp_path, monkeypatch, target):
    """`**kwargs` takes decay and epsilon too, and hands them on to who knows whom."""
    module_of(tmp_path, monkeypatch, LAYER)
    made = make(settings(f"variant._target_=own_layer.{target}", "+variant.scale=2"), "variant")
    assert made.keywords == {"scale": 2}


def test_a_key_may_be_of_a_layers_call(tmp_path, monkeypatch):
    module_of(tmp_path, monkeypatch, LAYER.replace("self, **options", "self, options=None"))
    given = "+variant.data_format=NCHW"
    made = make(settings("variant._target_=own_layer.Layer", given), "variant")
    assert made.keywords == {"data_format": "NCHW"}
    with pytest.raises(UserError, match=r"^variant\.dataformat=NCHW: own_layer\.Layer takes no dataformat\. "):
        make(settings("variant._target_=own_layer.Layer", "+variant.dataformat=NCHW"), "variant")
