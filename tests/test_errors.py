"""What the command line says of an exception."""

import re

import numpy as np
import pytest
import tensorflow as tf
from mlflow.exceptions import MlflowException

from bnexp.errors import UserError, exit_with, explain, first_line


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("decay must be ..."), "decay must be ..."),
        (MlflowException("gone\nlong story"), "mlflow failed with MlflowException: gone"),
        (tf.errors.InternalError(None, None, "odd"), "tensorflow failed with InternalError: odd"),
        (
            tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
            "out of memory (OOM when allocating). Take a smaller batch_size, eval_batch_size or network.",
        ),
        (MemoryError(), "out of memory (MemoryError). Take a smaller batch_size, eval_batch_size or network."),
        (
            OSError(28, "No space left on device", "runs/x"),
            "[Errno 28] No space left on device: 'runs/x'. Check the disk's space and its permissions.",
        ),
        (ValueError("a bug"), None),
        (np.exceptions.AxisError("a bug"), None),
        (TypeError("a bug"), None),
    ],
)
def test_explain(error, message):
    assert explain(error) == message


def test_first_line():
    assert first_line(ValueError("\n one \ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"
    assert len(first_line(ValueError("x" * 10_000))) == 500


USER_CODE = """in user code:

    File "mine.py", line 3, in f  *
        return x + y

    ValueError: Dimensions must be equal, but are 2 and 3 for '{{node add}} = AddV2[T=DT_FLOAT](x, y)'.
"""

EXECUTION = """Graph execution error:

Detected at node add defined at (most recent call last):
<stack traces unavailable>
Incompatible shapes: [2] vs. [3]
\t [[{{node add}}]] [Op:__inference_f_9]
"""


OUT_OF_MEMORY = """Graph execution error:

Detected at node ones defined at (most recent call last):
  File "mine.py", line 4, in f

OOM when allocating tensor with shape[10000000,1000000] and type float on CPU:0 by allocator mklcpu
\t [[{{node ones}}]]
Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom.
 [Op:__inference_f_13]"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            OUT_OF_MEMORY,
            "OOM when allocating tensor with shape[10000000,1000000] and type float on CPU:0 by allocator mklcpu",
        ),
        (USER_CODE, "Dimensions must be equal, but are 2 and 3"),
        (EXECUTION, "Incompatible shapes: [2] vs. [3]"),
        ("Graph execution error:", "Graph execution error:"),
        ("ValueError: twice", "twice"),
        ("{{function_node f}} Incompatible shapes\n\t [[{{node add}}]]", "{{function_node f}} Incompatible shapes"),
    ],
)
def test_first_line_is_none_of_tensorflow_s_headings(text, line):
    assert first_line(ValueError(text)) == line


def test_first_line_of_what_tensorflow_really_says():
    @tf.function
    def adds(x):
        return x + tf.ones([3])

    with pytest.raises(ValueError, match="in user code") as caught:
        adds(tf.ones([2]))
    assert first_line(caught.value).startswith("Dimensions must be equal, but are 2 and 3")
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.function(lambda x: x + tf.ones([3]), input_signature=[tf.TensorSpec([None])])(tf.ones([2]))
    assert re.search(r" Incompatible shapes: \[\d\] vs\. \[\d\]$", first_line(caught.value))


def test_exit_with(capsys):
    with pytest.raises(SystemExit) as caught:
        exit_with("message", 130)
    assert caught.value.code == 130
    assert capsys.readouterr() == ("", "bnexp: message\n")
