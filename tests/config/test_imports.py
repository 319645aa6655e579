"""A user's module is imported as it is: its mistakes have their line, and TensorFlow stays as bnexp needs it."""

import sys
from importlib import import_module

import pytest
import tensorflow as tf

from bnexp.config.imports import import_target
from bnexp.errors import UserError


def refused(target):
    with pytest.raises(UserError) as caught:
        import_target(target, "variant")
    return str(caught.value)


def test_what_the_name_says_is_returned(own):
    own("class Layer:\n    @classmethod\n    def small(cls): return 'small'\n")
    assert import_target("own_layer.Layer.small", "variant")() == "small"


def test_an_exception_in_the_module_has_its_line_and_all_of_its_words(own):
    file = own("x = 1\n\nif x:\n    raise RuntimeError('first\\nsecond')\n")
    assert refused("own_layer.layer") == (
        "variant._target_=own_layer.layer: your own code raised an exception\n"
        f"  {file}, line 4, in <module>\n"
        "    raise RuntimeError('first\\nsecond')\n"
        "RuntimeError: first\nsecond"
    )


def test_a_mistake_in_a_module_that_it_imports_is_told_there(own):
    own("from own_helpers import size\n")
    file = own("size = {}['none']\n", "own_helpers")
    assert f"{file}, line 1, in <module>\n    size = {{}}['none']\nKeyError: 'none'" in refused("own_layer.layer")


def test_a_dead_import_has_its_line_and_the_cure(own):
    file = own("import numpy as np\nfrom tensorflow.contrib.layers import batch_norm\n")
    told = refused("own_layer.layer")
    assert f"{file}, line 2, in <module>\n    from tensorflow.contrib.layers import batch_norm\n" in told
    assert "\nCure: tf.contrib is gone since TensorFlow 2.0" in told


def test_a_file_that_is_no_python_has_its_line(own):
    file = own("def layer(x:\n    return x\n")
    told = refused("own_layer.layer")
    assert f"{file}, line 1, in the file\n    def layer(x:\nSyntaxError: " in told


@pytest.mark.parametrize("target", ["own_layer.lair", "no_such_module.layer", "layer", "", "own module.layer"])
def test_a_name_that_does_not_exist_is_no_mistake_of_the_module(own, target):
    own("def layer(x, training): return x\n")
    told = refused(target)
    assert told.startswith(f"variant._target_={target}: cannot be loaded (")
    assert told.endswith(". Write the full name of a class or function that can be imported.")


def test_what_cannot_be_called_is_refused(own):
    own("layer = [1]\n")
    assert refused("own_layer.layer") == (
        "variant._target_=own_layer.layer is list, and not a class or function. Write the name of one."
    )


SWITCHES = ("disable_v2_behavior", "disable_eager_execution", "disable_v2_tensorshape", "disable_tensor_equality")
CALLS = (
    "import tensorflow.compat.v1 as tf\ntf.{}()",
    "import tensorflow as tf\ntf.compat.v1.{}()",
    "from tensorflow.compat.v1 import *\nfrom tensorflow.compat.v1 import {0}\n{0}()",
)


def switches():
    """Returns them from both modules: what is imported by its full name may be another one."""
    modules = tf.compat.v1, import_module("tensorflow.compat.v1")
    return [getattr(module, switch) for module in modules for switch in SWITCHES]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_to_tensorflow_1_has_no_effect(own, switch, call):
    own(f"{call.format(switch)}\ndone = True\ndef layer(x, training): return x\n")
    before = switches()
    import_target("own_layer.layer", "variant")
    assert sys.modules["own_layer"].done
    assert tf.executing_eagerly()
    assert tf.TensorShape([3])[0] == 3
    assert type(tf.TensorShape([3])[0]) is int
    assert tf.Tensor._USE_EQUALITY
    assert switches() == before


def test_the_switches_are_back_after_a_module_that_fails(own):
    before = switches()
    own("raise ValueError\n")
    refused("own_layer.layer")
    assert switches() == before
