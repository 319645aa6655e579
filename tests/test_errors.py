"""What the command line says of an exception."""

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


def test_exit_with(capsys):
    with pytest.raises(SystemExit) as caught:
        exit_with("message", 130)
    assert caught.value.code == 130
    assert capsys.readouterr() == ("", "bnexp: message\n")
