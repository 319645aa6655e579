"""What a run prints at its end."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from bnexp.diagnose import Diagnosis


def print_report(
    console: Console,
    *,
    title: str,
    metrics: Mapping[str, float],
    diagnosis: Diagnosis,
    run_id: str,
    uri: str,
    device: str,
) -> None:
    """Prints the accuracies side by side, the verdict, and where to look on.

    Args:
        console: where to print.
        title: says which run it is.
        metrics: the run's final metrics by their MLflow names.
        diagnosis: the verdict.
        run_id: the run's id in MLflow.
        uri: the tracking store.
        device: the line that says which device was used.
    """
    table = Table(title=title, title_justify="left", header_style="bold", min_width=72)
    table.add_column("on the test set")
    table.add_column("", justify="right")
    table.add_column("in words")

    def row(label: str, name: str, words: str, style: str = "", form: str = ".4f") -> None:
        if name in metrics:
            table.add_row(label, format(metrics[name], form), words, style=style)

    row("accuracy", "test/accuracy", "the headline: eval_batch_size, after the final pass", "bold")
    row("  before the final pass", "test/accuracy_before_final_pass", "with the last moving average")
    row("  in large batches", "test/accuracy_batched", "inference mode; should be the headline's equal")
    row("  with batch statistics", "test/accuracy_batch_statistics", "what a forgotten training flag gives")
    row("flips", "test/flips", "predictions that differ between one by one and large batches", form=".0f")
    row("moved", "test/moved", "largest change of a moving statistic by evaluating", form=".3g")
    row("residual, mean", "worst/residual_mean", "worst layer and channel, in standard deviations", form=".2g")
    row("residual, variance", "worst/residual_variance", "worst layer and channel, as a fraction", form=".2g")
    row("training", "train/seconds", "seconds, compilation included", form=".2f")
    row("evaluation", "test/seconds", "seconds, one by one, compilation included", form=".2f")
    console.print(table)
    colour = "green" if diagnosis.verdict in ("healthy", "no_statistics") else "red"
    console.print(f"[bold {colour}]{diagnosis.verdict}[/]: {diagnosis.sentence}", highlight=False)
    console.print(f"run [bold]{run_id}[/] on {device}", highlight=False)
    console.print(f"open MLflow's UI: {ui_command(uri)}", highlight=False, soft_wrap=True)


def ui_command(uri: str) -> str:
    """Returns the line that shows a tracking store's runs in the browser."""
    if uri.startswith(("http://", "https://")):
        return f"open {uri}"
    return f"python -m mlflow ui --backend-store-uri {uri}"
