"""Whose mistake an exception is: a user's is told with file, line, text and all of its words; bnexp's own is not."""

import sys
from functools import partial
from pathlib import Path

import hypothesis
import pytest
import tensorflow as tf
from hypothesis import strategies
from small import ONE_LAYER, images, rows, settings, small_model

import bnexp
from bnexp.config.blame import Line, blame, blaming, blaming_any, line_of
from bnexp.config.make import make
from bnexp.engine.build import build_model
from bnexp.errors import UserError

KEY = "variant._target_=mine.layer"


def caught_in(file, statement, *, target="mine.layer", whole_run=False, tried="", **names):
    """Runs a line of a file under `blaming`, and returns what comes out; no line of this test is then on the way.

    With `whole_run`, under `blaming_any` instead, as around all of a run.
    """
    blamed = blaming_any({"variant._target_": target}) if whole_run else blaming(KEY, target, tried=tried)
    source = f"with blamed:\n    {statement}"
    with pytest.raises(Exception) as caught:  # noqa: PT011  (which one is what the tests are about)
        exec(compile(source, file, "exec"), {"blamed": blamed, **names})
    return caught.value


def test_a_user_s_exception_has_file_line_text_and_every_line_of_its_words(own):
    file = own("def layer(x, training):\n    raise ValueError('one\\n  two\\nthree')\n")
    with pytest.raises(UserError) as caught:
        small_model(images(), "variant._target_=own_layer.layer", ONE_LAYER["mlp"])
    assert str(caught.value).splitlines() == [
        "variant._target_=own_layer.layer: your own code raised an exception",
        f"  {file}, line 2, in layer",
        "    raise ValueError('one\\n  two\\nthree')",
        "ValueError: one",
        "  two",
        "three",
        "It was tried with inputs [?, 5] and training=a bool tensor.",
    ]
    assert type(caught.value.__cause__) is ValueError


def test_the_innermost_line_of_the_user_s_is_told_though_a_library_raised(own):
    source = """
    import numpy as np

    def inner():
        return np.ones(3).reshape(2, 2)

    def load():
        return inner()
    """
    file = own("\n".join(line[4:] for line in source.splitlines()))
    with pytest.raises(UserError) as caught:
        make(settings("dataset._target_=own_layer.load"), "dataset")
    assert f"{file}, line 5, in inner\n    return np.ones(3).reshape(2, 2)\nValueError: cannot" in str(caught.value)


def test_a_network_s_exception_is_told_with_its_inputs(own):
    file = own("def net(inputs, **others):\n    return [][1]\n")
    with pytest.raises(UserError) as caught:
        build_model(settings("network._target_=own_layer.net", "batch_size=10"), images(), "/CPU:0")
    assert str(caught.value).splitlines() == [
        "network._target_=own_layer.net: your own code raised an exception",
        f"  {file}, line 2, in net",
        "    return [][1]",
        "IndexError: list index out of range",
        "It was tried with inputs (None, 4, 4, 2).",
    ]


def test_bnexp_s_own_exception_passes_through():
    file = str(Path(bnexp.__file__).parent / "engine" / "model.py")
    for whole_run, target in ((False, "bnexp.variant.ema.BatchNorm"), (True, "mine.layer")):
        error = caught_in(file, "raise KeyError('a bug')", target=target, whole_run=whole_run)
        assert type(error) is KeyError


def test_where_only_the_target_runs_its_exception_is_its_own_whatever_the_line():
    error = caught_in("<string>", "raise KeyError('odd')", target="keras.layers.Layer")
    assert str(error) == f"{KEY}: it raised an exception\nKeyError: 'odd'"
    assert isinstance(caught_in("<string>", "raise KeyError('odd')", whole_run=True), KeyError)


def test_a_user_error_passes_through_as_it_is(own):
    told = UserError("take another")
    assert caught_in(own(""), "raise told", told=told) is told


def test_what_ends_a_run_is_nobody_s_mistake():
    with pytest.raises(KeyboardInterrupt), blaming(KEY, "mine.layer"):
        raise KeyboardInterrupt


def test_what_it_was_tried_with_is_told(own):
    error = caught_in(own(""), "raise OSError", tried="inputs [?, 3]")
    assert str(error).endswith("OSError\nIt was tried with inputs [?, 3].")


def error_of(call):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    return caught.value


def test_an_installed_package_of_the_target_s_counts_as_the_user_s():
    error = error_of(strategies.integers(2, 1).validate)
    line = line_of(error, "hypothesis.strategies.integers")
    assert Path(line.file).is_relative_to(Path(hypothesis.__file__).parent)
    # for a layer of one's own it is a library like any other
    assert line_of(error, "mine.layer").file == __file__


def test_a_library_is_never_the_user_s_even_where_it_is_the_target():
    error = error_of(partial(tf.keras.layers.Dense, units=-1))
    assert line_of(error, "keras.layers.Dense").file == __file__


def test_the_words_have_no_colours_and_the_cure_if_there_is_one():
    words = blame(AttributeError("\x1b[1mmodule 'tensorflow' has no attribute 'placeholder'\x1b[0m"), KEY, None)
    assert words.splitlines() == [
        f"{KEY}: it raised an exception",
        "AttributeError: module 'tensorflow' has no attribute 'placeholder'",
        "Cure: this is TensorFlow 1's interface: write `import tensorflow.compat.v1 as tf`.",
    ]


def test_an_exception_without_words_is_its_type():
    assert blame(ZeroDivisionError(), KEY, None) == f"{KEY}: it raised an exception\nZeroDivisionError"


def test_a_line_of_a_file_that_is_gone_has_no_text():
    assert str(Line("/nowhere/mine.py", 3, "f")) == "/nowhere/mine.py, line 3, in f\n    "


def test_a_file_that_is_no_python_is_told_with_the_line_of_the_mistake(own):
    file = own("x = 1\ndef layer(:\n    pass\n")
    assert line_of(error_of(partial(__import__, "own_layer")), "own_layer.layer") == Line(file, 2, "the file")


FAILS_WHEN_RUN = """
import tensorflow.compat.v1 as tf

def layer(x, training):
    return x - tf.gather(x, [1000000])
"""


def test_an_op_that_fails_when_it_is_run_is_traced_to_the_line_that_made_it(own):
    file = own(FAILS_WHEN_RUN.lstrip())
    dataset = images()
    model = small_model(dataset, "variant._target_=own_layer.layer", "engine=session", ONE_LAYER["mlp"])
    train = partial(model.train, dataset.x_train, dataset.y_train, rows(dataset, 1), calls=None)
    error = caught_in("<string>", "train()", target="own_layer.layer", whole_run=True, train=train)
    assert type(error) is UserError
    assert f"{file}, line 4, in layer\n    return x - tf.gather(x, [1000000])\nInvalidArgumentError: " in str(error)
    assert "indices[0] = 1000000 is not in [0, 10)" in str(error)


def test_of_several_targets_the_one_whose_file_it_is_gets_the_blame(own):
    files = {name: own("def made():\n    return {}['missing']\n", name) for name in ("one", "other")}
    targets = {"network._target_": "one.made", "optimizer._target_": "other.made", "variant._target_": "bnexp.run.run"}
    for name in files:
        __import__(name)
    with pytest.raises(UserError) as caught, blaming_any(targets):
        sys.modules["other"].made()
    assert str(caught.value).startswith(
        f"optimizer._target_=other.made: your own code raised an exception\n  {files['other']}"
    )


def test_running_out_of_memory_is_not_told_as_a_mistake_of_the_user_s(own):
    own("def made():\n    raise MemoryError('16 GiB')\n", "hungry")
    __import__("hungry")
    with pytest.raises(MemoryError), blaming_any({"network._target_": "hungry.made"}):
        sys.modules["hungry"].made()
