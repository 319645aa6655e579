"""What a run prints: whole lines, none wider than a terminal, nothing that a pipe would garble."""

import io

import pytest
from rich.console import Console

from bnexp.diagnosis.verdict import Diagnosis
from bnexp.record.report import ROWS, print_report, worst_residuals

METRICS = {
    "test/accuracy": 0.97464,
    "test/accuracy_before_final_pass": 0.9,
    "test/accuracy_batched": 0.97464,
    "test/accuracy_batch_statistics": 0.1,
    "test/flips": 12.0,
    "test/moved": 1.25e-17,
    "final_pass/bn1/residual_mean": 1e-3,
    "final_pass/bn2/residual_mean": 0.25,
    "final_pass/bn1/residual_variance": 3e100,
    "train/seconds": 12345.678,
    "test/seconds": 0.00123,
}
WRONG = Diagnosis("updates_never_run", "the mean is [0] " + "and still is " * 20, cure="run [them]", document="a page")


def printed(metrics=METRICS, diagnosis=WRONG, *, terminal, **console):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=console.pop("encoding", "utf-8"), write_through=True)
    console = Console(file=stream, force_terminal=terminal, width=80, color_system=None, **console)
    print_report(
        console,
        title="digits, mlp, update_ops, none, adam, decay 0.9",
        metrics=metrics,
        diagnosis=diagnosis,
        run_id="0" * 32,
        where="python -m mlflow ui --backend-store-uri sqlite:////a/very/long/path/to/somewhere/runs/mlflow.db",
        device="CPU: TensorFlow sees no GPU",
    )
    return stream.buffer.getvalue().decode()


def test_every_figure_has_its_line():
    lines = printed(terminal=False).splitlines()
    assert lines[0] == "digits, mlp, update_ops, none, adam, decay 0.9"
    figures = dict(zip([label for *_, label, _ in ROWS], lines[1:], strict=False))
    for label, value in {
        "accuracy": "0.9746",
        "  before final pass": "0.9000",
        "flips": "12",
        "moved": "1.25e-17",
        "residual, mean": "0.25",
        "residual, variance": "3e+100",
        "training": "1.23e+04",
        "evaluation": "0.00123",
    }.items():
        assert figures[label].startswith(f"  {label} ")
        assert figures[label][len(label) + 2 :].split()[0] == value


@pytest.mark.parametrize("terminal", [False, True])
def test_the_table_fits_eighty_columns(terminal):
    lines = printed(terminal=terminal).splitlines()[: len(ROWS) + 1]
    assert max(map(len, lines)) < 80
    # the meanings stand in one column
    columns = {line.index(words) for line, (*_, words) in zip(lines[1:], ROWS, strict=True)}
    assert len(columns) == 1
    assert all(line == line.rstrip() for line in lines)


def test_a_terminal_gets_whole_words_and_a_pipe_whole_lines():
    narrow, piped = (printed(terminal=terminal).splitlines() for terminal in (True, False))
    sentence = f"updates_never_run: {WRONG.sentence}"
    assert sentence.rstrip() in [line.rstrip() for line in piped]
    told = narrow[len(ROWS) + 1 :]
    told = told[: next(i for i, line in enumerate(told) if line.startswith("cure"))]
    assert " ".join(line.strip() for line in told).split() == sentence.split()
    assert max(map(len, told)) <= 80


@pytest.mark.parametrize("terminal", [False, True])
def test_a_command_can_be_copied_whole(terminal):
    command = "python -m mlflow ui --backend-store-uri sqlite:////a/very/long/path/to/somewhere/runs/mlflow.db"
    assert f"see it in MLflow: {command}" in printed(terminal=terminal).splitlines()


def test_brackets_are_no_markup():
    text = printed(terminal=False)
    assert "the mean is [0] and" in text
    assert "cure: run [them]" in text
    assert "as in: a page" in text


def test_a_healthy_run_needs_no_cure():
    text = printed(terminal=False, diagnosis=Diagnosis("healthy", "all is well"))
    assert "healthy: all is well\n" in text
    assert "cure" not in text


def test_a_restored_run_has_no_training_to_time():
    metrics = {name: value for name, value in METRICS.items() if name != "train/seconds"}
    assert "training  " not in printed(metrics, terminal=False)


def test_plain_ascii_is_enough():
    printed(terminal=False, encoding="ascii").encode("ascii")


def test_the_worst_layer_is_the_one_that_is_told():
    assert worst_residuals(METRICS) == {"residual_mean": 0.25, "residual_variance": 3e100}
    assert worst_residuals({}) == {}
    odd = {f"final_pass/bn{i}/residual_mean": value for i, value in enumerate([1.0, float("nan"), 2.0])}
    assert str(worst_residuals(odd)) == "{'residual_mean': nan}"
