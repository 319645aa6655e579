"""The report that a run prints when it ends; it fits 80 columns."""

from collections.abc import Mapping

import numpy as np
from rich.console import Console
from rich.markup import escape

from bnexp import names
from bnexp.diagnosis.severity import style
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.record.tags import finding_lines

# by row: the metric, its format, its label, and what it means; each fits on a line of 80 columns
ROWS = (
    (names.ACCURACY, "{:.4f}", "accuracy", "at eval_batch_size, after the final pass"),
    (names.ACCURACY_BEFORE, "{:.4f}", "  before final pass", "with the last moving average"),
    (names.ACCURACY_BATCHED, "{:.4f}", "  in large batches", "inference mode; should equal the first"),
    (names.ACCURACY_BATCH_STATISTICS, "{:.4f}", "  by batch statistics", "what a forgotten training flag gives"),
    (names.FLIPS, "{:.0f}", "flips", "predictions that large batches change"),
    (names.MOVED, "{:.3g}", "moved", "most that evaluating moved a statistic"),
    (names.RESIDUAL_MEAN, "{:.2g}", "residual, mean", "in standard deviations, worst channel"),
    (names.RESIDUAL_VARIANCE, "{:.2g}", "residual, variance", "as a fraction, worst channel"),
    (names.TRAIN_SECONDS, "{:.3g}", "training", "seconds, with compilation"),
    (names.TEST_SECONDS, "{:.3g}", "evaluation", "seconds, with compilation if any"),
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
    """Prints a run's metrics, the accuracy with other averages, the diagnosis, and how to see the run in MLflow.

    Args:
        console: where to print; sentences are wrapped in a terminal, and kept on one line in a pipe.
        title: the first line, which says which run it is.
        metrics: the run's final metrics by their MLflow names; rows of metrics that are missing are left out.
        diagnosis: the verdict with its reasons; the other verdicts and the graph's findings follow it, dimmed.
        run_id: the run's id in MLflow.
        where: how to see the run in a browser: an address or commands.
        device: the line that says which device was used.

    Example:
        >>> print_report(
        ...     Console(), title="digits, mlp, ema", metrics={"test/accuracy": 0.9746}, diagnosis=diagnosis,
        ...     run_id="3f2c", where="http://127.0.0.1:5000", device="CPU",
        ... )
        digits, mlp, ema
          accuracy                0.9746   at eval_batch_size, after the final pass
        ...
    """
    console.print(f"[bold]{escape(title)}[/]", highlight=False)
    values = dict(metrics) | worst_residuals(metrics)
    for name, form, label, words in ROWS:
        if name in values:
            emphasis = "bold" if name == names.HEADLINE else ""
            console.print(f"  {label:<21} {form.format(values[name]):>8}   {words}", highlight=False, style=emphasis)

    def paragraph(text: str, emphasis: str = "") -> None:
        console.print(text, highlight=False, soft_wrap=not console.is_terminal, style=emphasis)

    if names.BEST_DECAY in values:
        paragraph(other_averages(values))
    paragraph(f"[bold {style(diagnosis.verdict)}]{diagnosis.verdict}[/]: {escape(diagnosis.sentence)}")
    for label, text in (("cure", diagnosis.cure), ("as in", diagnosis.document)):
        if text:
            paragraph(f"{label}: {escape(text)}")
    if diagnosis.also:
        paragraph(f"also: {', '.join(diagnosis.also)}", "dim")
    for line in finding_lines(diagnosis):
        paragraph(f"in the graph: {escape(line)}", "dim")
    console.print(f"run {run_id} on {escape(device)}", highlight=False, soft_wrap=True)
    # not wrapped, so that it can be copied
    console.print(f"see it in MLflow: {escape(where)}", highlight=False, soft_wrap=True)


def other_averages(metrics: Mapping[str, float]) -> str:
    """Returns a line with the accuracy that other averages of the same training would have given.

    Args:
        metrics: the run's final metrics by their MLflow names, with those of the estimators.

    Example:
        >>> other_averages({"ladder/best_decay": 0.99, "ladder/best_accuracy": 0.9746})
        'the same training with decay 0.99: 0.9746'
    """
    said = f"the same training with decay {metrics[names.BEST_DECAY]:g}: {metrics[names.BEST_DECAY_ACCURACY]:.4f}"
    if names.POPULATION_ACCURACY in metrics:
        said += f"; with the population's averages: {metrics[names.POPULATION_ACCURACY]:.4f}"
    return said


def worst_residuals(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns the largest `residual_mean` and `residual_variance` of all layers, by these names; empty without any.

    Args:
        metrics: the run's final metrics by their MLflow names.

    Example:
        >>> worst_residuals({"final_pass/bn1/residual_mean": 0.25, "final_pass/bn2/residual_mean": 0.5})
        {'residual_mean': 0.5}
    """
    worst: dict[str, float] = {}
    for kind in (names.RESIDUAL_MEAN, names.RESIDUAL_VARIANCE):
        values = [value for name, value in metrics.items() if name.endswith(f"/{kind}")]
        if values:
            # np.max and not max(), so that a NaN counts as the worst
            worst[kind] = float(np.max(values))
    return worst
