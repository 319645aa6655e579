"""An exception in a user's own code is told as theirs, with file and line; no run is left RUNNING."""

import re
import sys

import pytest
from small import client, run_here

from bnexp.errors import UserError

SMALL = ("steps=20", "network.widths=[4]", "batch_size=10")

BROKEN = """\
import tensorflow as tf

v1 = tf.compat.v1


def dataset():
    return {}["no such file"]


def network(inputs, *, batch_norm, num_classes, seed, **options):
    hidden = tf.reshape(inputs, [-1, 64])
    return tf.matmul(batch_norm(hidden, "bn1"), tf.ones([63, num_classes]))


def final_pass(model, inputs, *, batch_size, seed):
    raise ValueError("one line\\nand another")


def layer(inputs, is_training):
    mean, variance = tf.nn.moments(inputs, [0, 7])
    return inputs - mean


def at_run_time(inputs, is_training):
    return inputs - tf.gather(inputs, [1000000])


def is_one(inputs, is_training):
    if not isinstance(is_training, bool):
        raise AssertionError("never with a tensor")
    raise KeyError("the likeliest")
"""

# by the key: the function, its line, a part of that line, and the error's own words
CASES = {
    "dataset": ("dataset", 7, 'return {}["no such file"]', "KeyError: 'no such file'"),
    "network": ("network", 12, "tf.matmul(batch_norm(hidden", "Dimensions must be equal, but are 64 and 63"),
    "final_pass": ("final_pass", 16, "raise ValueError", "ValueError: one line\nand another"),
    "variant": ("layer", 20, "tf.nn.moments(inputs, [0, 7])", "Invalid reduction dimension"),
}


@pytest.fixture
def broken(folder, monkeypatch):
    """A module with a mistake in every function."""
    (folder / "broken.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    return folder


def test_the_cases_name_the_right_lines():
    for _, line, text, _ in CASES.values():
        assert text in BROKEN.splitlines()[line - 1]


@pytest.mark.parametrize("key", CASES)
def test_a_mistake_in_the_users_code_is_theirs(broken, key):
    name, line, text, words = CASES[key]
    # the keys of the default's own node mean nothing to another target
    with pytest.raises(UserError) as caught:
        run_here(broken, f"{key}._target_=broken.{name}", *SMALL)
    message = str(caught.value)
    assert message.startswith(f"{key}._target_=broken.{name}: your own code raised an exception\n")
    assert f"{broken / 'broken.py'}, line {line}, in {name}\n" in message
    assert text in message
    assert words in message
    assert "bug in bnexp" not in message
    assert not [run for run in client(broken).search_runs(["1"]) if run.info.status == "RUNNING"]


def test_an_op_that_fails_when_it_runs_is_traced_to_the_line_that_made_it(broken):
    with pytest.raises(UserError) as caught:
        run_here(broken, "variant._target_=broken.at_run_time", *SMALL, "engine=session")
    assert re.search(r"broken.py, line 25, in at_run_time\n    return inputs - tf.gather\(", str(caught.value))
    assert [run.info.status for run in client(broken).search_runs(["1"])] == ["FAILED"]


def test_of_several_ways_the_likeliest_is_told(broken):
    with pytest.raises(UserError, match="KeyError: 'the likeliest'") as caught:
        run_here(broken, "variant._target_=broken.is_one", *SMALL)
    assert "is_training=True" in str(caught.value)
