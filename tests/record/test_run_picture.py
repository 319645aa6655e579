"""A run's own pictures: every layer a row, whatever was recorded."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import figure, image

from bnexp.record.picture import MOST_POINTS, plot_estimators, plot_trajectories
from bnexp.statistics.layer_statistics import LayerStatistics
from bnexp.statistics.moments import Moments
from bnexp.training.trajectory import Trajectories


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, as they were."""
    saved = []
    save = figure.Figure.savefig
    monkeypatch.setattr(
        figure.Figure, "savefig", lambda self, *args, **words: (saved.append(self), save(self, *args, **words))
    )
    return saved


def trajectories(layers=1, steps=20, channels=4, *, moving=True, last=1.0):
    rng = np.random.default_rng(0)

    def statistics():
        means, variances = rng.normal(size=[steps, channels]), rng.uniform(1, 2, [steps, channels])
        means[-1], variances[-1] = last, last
        batch = (means.astype(np.float32), variances.astype(np.float32))
        return LayerStatistics(*batch, *batch) if moving else LayerStatistics(*batch)

    names = [f"bn{i + 1}" for i in range(layers)]
    populations = {
        mark: {name: Moments(np.arange(channels, dtype=float), np.ones(channels)) for name in names}
        for mark in (steps // 2, steps)
    }
    losses = np.ones(steps, np.float32)
    return Trajectories(np.arange(1, steps + 1), losses, losses, {name: statistics() for name in names}, populations)


@pytest.mark.parametrize("layers", [1, 3])
def test_a_row_for_each_layer(tmp_path, drawn, layers):
    plot_trajectories(trajectories(layers), tmp_path / "x.png", title="digits, mlp")
    assert image.imread(tmp_path / "x.png").shape[:2] == (120 + 250 * layers, 1200)
    (figure,) = drawn
    titles = [axes.get_title() for axes in figure.axes]
    # the channels whose population mean stands at the tenth, the middle and the ninetieth percentile
    assert titles == [
        f"bn{i + 1}: {moment} of channels 0, 2, 3" for i in range(layers) for moment in ("mean", "variance")
    ]
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log"] * layers
    assert figure.get_suptitle().splitlines()[0] == "digits, mlp"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "the batch of that step",
        "moving statistic (what inference reads)",
        "population with that step's weights",
    ]


def test_a_layer_that_keeps_no_statistics_has_no_such_line(tmp_path, drawn):
    plot_trajectories(trajectories(moving=False), tmp_path / "x.png", title="")
    assert [len(axes.lines) for axes in drawn[0].axes] == [6, 6]


def test_no_more_points_than_there_are_pixels(tmp_path, drawn):
    plot_trajectories(trajectories(steps=5 * MOST_POINTS), tmp_path / "x.png", title="")
    assert len(drawn[0].axes[0].lines[1].get_xdata()) == MOST_POINTS


@pytest.mark.parametrize("last", [np.nan, np.inf])
def test_what_is_not_finite_is_a_gap(tmp_path, last):
    plot_trajectories(trajectories(last=last), tmp_path / "x.png", title="")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_for_each_kind_of_estimator(tmp_path, drawn):
    table = pd.DataFrame(
        [
            {"decay": decay, "ddof": ddof, "zero_debias": debias, "accuracy": decay}
            for decay in (0.5, 0.9)
            for ddof in (0, 1)
            for debias in (False, True)
        ]
    )
    plot_estimators(table, tmp_path / "x.png", title="digits, mlp", decay=0.75)
    (axes,) = drawn[0].axes
    *lines, own = axes.lines
    assert [line.get_label() for line in lines] == [
        "plain, biased variance",
        "zero-debiased, biased variance",
        "plain, Bessel-corrected variance",
        "zero-debiased, Bessel-corrected variance",
    ]
    for line in lines:
        # steps averaged
        np.testing.assert_allclose(line.get_xdata(), [2, 10])
        np.testing.assert_allclose(line.get_ydata(), [0.5, 0.9])
    np.testing.assert_allclose(own.get_xdata(), [4, 4])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.5", "0.9"]
    assert axes.get_xlabel() == "decay (this run's: 0.75)"
    assert axes.get_title() == "digits, mlp\nThe same training, other averages"
