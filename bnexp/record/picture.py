"""The pictures of a run: its moving statistics beside the population's, and the accuracy with other averages."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bnexp.training.trajectory import Trajectories

# the channels that are drawn: those whose population mean is at these percentiles of all channels of the layer
SHOWN_PERCENTILES = (10, 50, 90)

# the most points of a line; the picture does not have more pixels
MOST_POINTS = 600

# inches around and between the axes; fixed, since Matplotlib would draw the picture twice to compute them
LEFT, RIGHT, TOP, BOTTOM, ACROSS, DOWN = 0.8, 0.15, 0.85, 0.85, 0.85, 0.4


def plot_trajectories(trajectories: Trajectories, path: Path, *, title: str) -> None:
    """Draws the moving mean and variance of three channels of each layer by step, and those of batches and population.

    Args:
        trajectories: what the run recorded in training.
        path: the PNG file to write.
        title: a line above the picture that says which run it is.

    Example:
        >>> plot_trajectories(trajectories, folder / "trajectories.png", title="digits, mlp, ema")
    """
    layers = list(trajectories.layers)
    figure = Figure(figsize=(12, 1.2 + 2.5 * len(layers)))
    axes = figure.subplots(len(layers), 2, squeeze=False, sharex=True)
    _lay_out(figure, rows=len(layers))
    for (mean_axes, variance_axes), layer in zip(axes, layers, strict=True):
        _draw(mean_axes, trajectories, layer, "mean")
        _draw(variance_axes, trajectories, layer, "variance")
        variance_axes.set_yscale("log")
    for bottom in axes[-1]:
        bottom.set_xlabel("training step")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False)
    figure.suptitle(
        f"{title}\nWhere a line stays on its circles, inference can rely on that moving statistic.",
        y=1 - 0.1 / figure.get_figheight(),
    )
    figure.savefig(path, dpi=100)


def plot_estimators(estimators: pd.DataFrame, path: Path, *, title: str, decay: float) -> None:
    """Draws the accuracy with every estimator by its decay.

    Args:
        estimators: one row per estimator, with the columns `decay`, `ddof`, `zero_debias` and `accuracy`.
        path: the PNG file to write.
        title: a line above the picture that says which run it is.
        decay: the run's own decay, which is marked by a line.

    Example:
        >>> plot_estimators(estimators.table, folder / "ladder.png", title="digits, mlp, ema", decay=0.9)
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for (ddof, debias), rows in estimators.groupby(["ddof", "zero_debias"]):
        name = f"{'zero-debiased' if debias else 'plain'}, {'Bessel-corrected' if ddof else 'biased'} variance"
        # the axis is 1 / (1 - decay), about the number of steps averaged, since decays crowd together near 1
        axes.plot(
            1 / (1 - rows["decay"]), rows["accuracy"], "--" if ddof else "-", marker="o", markersize=4, label=name
        )
    axes.axvline(1 / (1 - decay), color="0.6", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(
        1 / (1 - estimators["decay"].unique()), [f"{value:g}" for value in estimators["decay"].unique()], rotation=45
    )
    axes.minorticks_off()
    axes.set_xlabel(f"decay (this run's: {decay:g})")
    axes.set_ylabel("accuracy")
    axes.grid(alpha=0.2)
    axes.legend(frameon=False)
    axes.set_title(f"{title}\nThe same training, other averages", fontsize=10)
    figure.savefig(path, dpi=100)


def _lay_out(figure: Figure, rows: int) -> None:
    width, height = figure.get_size_inches()
    axes_width = (width - LEFT - RIGHT - ACROSS) / 2
    axes_height = (height - TOP - BOTTOM - DOWN * (rows - 1)) / rows
    figure.subplots_adjust(
        left=LEFT / width,
        right=1 - RIGHT / width,
        top=1 - TOP / height,
        bottom=BOTTOM / height,
        wspace=ACROSS / axes_width,
        hspace=DOWN / axes_height,
    )


def _draw(axes: Axes, trajectories: Trajectories, layer: str, statistic: str) -> None:
    steps = trajectories.steps
    thin = slice(None, None, max(1, len(steps) // MOST_POINTS))
    recorded = trajectories.layers[layer]
    moving = None if recorded.moving is None else getattr(recorded.moving, statistic)
    batch = getattr(recorded.batch, statistic)
    marks = list(trajectories.populations)
    population = np.array([getattr(moments[layer], statistic) for moments in trajectories.populations.values()])
    last_means = list(trajectories.populations.values())[-1][layer].mean
    order = np.argsort(last_means)
    channels = [order[round(percentile / 100 * (len(order) - 1))] for percentile in SHOWN_PERCENTILES]
    for number, channel in enumerate(dict.fromkeys(channels)):
        colour = f"C{number}"
        named = number == 0
        axes.plot(
            steps[thin], batch[thin, channel], ".", color=colour, markersize=2, alpha=0.25,
            label="the batch of that step" if named else None,
        )  # fmt: skip
        if moving is not None:
            axes.plot(
                steps[thin], moving[thin, channel], "-", color=colour, linewidth=1.8,
                label="moving statistic (what inference reads)" if named else None,
            )  # fmt: skip
        axes.plot(
            marks, population[:, channel], "o", markeredgecolor=colour, markerfacecolor="white", markersize=6,
            label="population with that step's weights" if named else None,
        )  # fmt: skip
    shown = ", ".join(str(channel) for channel in dict.fromkeys(channels))
    axes.set_title(f"{layer}: {statistic} of channels {shown}", fontsize=10)
    axes.grid(alpha=0.2)
