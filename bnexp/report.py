"""What a run prints at its end: fits 80 columns, and reads the same in a pipe."""

from collections.abc import Mapping

import numpy as np
from rich.console import Console
from rich.markup import escape

from bnexp.verdict import Diagnosis

# metric, how to write it, its name in the table, what it means; no line longer than a terminal is wide
ROWS = (
    ("test/accuracy", "{:.4f}", "accuracy", "at eval_batch_size, after the final pass"),
    ("test/accuracy_before_final_pass", "{:.4f}", "  before final pass", "with the last moving average"),
    ("test/accuracy_batched", "{:.4f}", "  in large batches", "inference mode; should equal the first"),
    ("test/accuracy_batch_statistics", "{:.4f}", "  by batch statistics", "what a forgotten training flag gives"),
    ("test/flips", "{:.0f}", "flips", "predictions that large batches change"),
    ("test/moved", "{:.3g}", "moved", "most a statistic moved by evaluating"),
    ("residual_mean", "{:.2g}", "residual, mean", "in standard deviations, worst channel"),
    ("residual_variance", "{:.2g}", "residual, variance", "as a fraction, worst channel"),
    ("train/seconds", "{:.3g}", "training", "seconds, with compilation"),
    ("test/seconds", "{:.3g}", "evaluation", "seconds, with compilation if any"),
)


def print_report(
    console: Console,
    *,
    title: str,
    metrics: Mapping[str, float],
    diagnosis: Diagnosis,
    run_id: str,
    where: str,
    device: str,
) -> None:
    """Prints the accuracies side by side, the verdict, and where to look on.

    Args:
        console: where to print.
        title: says which run it is.
        metrics: the run's final metrics by their MLflow names.
        diagnosis: the verdict.
        run_id: the run's id in MLflow.
        where: what shows the run in a browser.
        device: the line that says which device was used.
    """
    console.print(f"[bold]{escape(title)}[/]", highlight=False)
    values = dict(metrics) | worst_residuals(metrics)
    for name, form, label, words in ROWS:
        if name in values:
            style = "bold" if name == "test/accuracy" else ""
            console.print(f"  {label:<21} {form.format(values[name]):>8}   {words}", highlight=False, style=style)

    def paragraph(text: str) -> None:
        # a terminal gets whole words, a pipe whole lines
        console.print(text, highlight=False, soft_wrap=not console.is_terminal)

    colour = "green" if diagnosis.verdict in ("healthy", "no_statistics") else "red"
    paragraph(f"[bold {colour}]{diagnosis.verdict}[/]: {escape(diagnosis.sentence)}")
    for label, text in (("cure", diagnosis.cure), ("as in", diagnosis.document)):
        if text:
            paragraph(f"{label}: {escape(text)}")
    console.print(f"run {run_id} on {escape(device)}", highlight=False, soft_wrap=True)
    # never broken into lines, so that it can be copied whole
    console.print(f"see it in MLflow: {escape(where)}", highlight=False, soft_wrap=True)


def worst_residuals(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns the largest `residual_mean` and `residual_variance` of all layers; none where no layer has one."""
    worst: dict[str, float] = {}
    for kind in ("residual_mean", "residual_variance"):
        values = [value for name, value in metrics.items() if name.endswith(f"/{kind}")]
        if values:
            # of several, one that is no number is as bad as it gets, and np.max hands it on
            worst[kind] = float(np.max(values))
    return worst
