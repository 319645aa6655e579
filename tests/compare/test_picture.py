"""The overlaid trajectories as PNG: one line for what looks the same, named."""

import io

import numpy as np
import pytest
from fakes import fake_run, trajectories
from matplotlib import image

from bnexp.compare.curves import RunCurves, thinned
from bnexp.compare.picture import MOST_LAYERS, MOST_LINES, draw_trajectories, lines_of
from bnexp.compare.table import compare

NOTHING = RunCurves(np.zeros(0, np.int32), np.zeros(0, np.int32), problem="gone")


def curves_of(runs, **words):
    return {
        run.run_id: thinned(trajectories(decay=float(run.params["decay"]), **words), run.params["seed"], {})
        for run in runs
    }


def test_a_line_for_each_training_and_not_for_each_final_pass():
    runs = [
        fake_run(i, variant=variant, decay=decay, final_pass=final_pass)
        for i, (variant, decay, final_pass) in enumerate(
            (variant, decay, final_pass)
            for variant in ("ema", "keras")
            for decay in (0.5, 0.9)
            for final_pass in ("none", "paper")
        )
    ]
    lines = lines_of(compare(runs), curves_of(runs))
    assert [line.name for line in lines] == [
        "ema/keras · 0.5 · none/paper: healthy",
        "ema/keras · 0.9 · none/paper: healthy",
    ]
    assert len({line.colour for line in lines}) == 2


def test_what_looks_the_same_but_is_judged_otherwise_has_its_own_line_on_top():
    runs = [fake_run(0, variant="contrib_twin", verdict="leaks_at_inference"), fake_run(1, variant="ema")]
    lines = lines_of(compare(runs), curves_of(runs))
    assert [line.name for line in lines] == ["ema: healthy", "contrib_twin: leaks_at_inference"]


def test_a_group_that_is_no_product_is_told_by_its_first():
    runs = [
        fake_run(i, variant=variant, steps=steps) for i, (variant, steps) in enumerate([("a", 1), ("a", 2), ("b", 1)])
    ]
    (line,) = lines_of(compare(runs), curves_of(runs))
    assert line.name == "a · 1 and 2 equal ones: healthy"


def test_many_lines_have_the_colour_of_their_verdict():
    runs = [fake_run(i, decay=0.3 + 0.05 * i, verdict=["healthy", "lagging"][i % 2]) for i in range(MOST_LINES + 1)]
    lines = lines_of(compare(runs), curves_of(runs))
    assert len(lines) == MOST_LINES + 1
    assert len({(line.name, line.colour) for line in lines}) == 2


def test_the_first_seed_that_has_trajectories_is_drawn():
    runs = [fake_run(i, seed=i) for i in range(3)]
    curves = curves_of(runs) | {runs[0].run_id: NOTHING}
    (line,) = lines_of(compare(runs), curves)
    assert line.curves is curves[runs[1].run_id]


def test_without_trajectories_there_is_no_picture():
    runs = [fake_run(0)]
    assert draw_trajectories(compare(runs), {runs[0].run_id: NOTHING}) is None


def size(png):
    return image.imread(io.BytesIO(png)).shape[:2]


@pytest.mark.parametrize(("layers", "rows"), [(1, 1), (MOST_LAYERS + 4, MOST_LAYERS)])
def test_a_row_for_each_layer_up_to_what_a_screen_shows(layers, rows):
    runs = [fake_run(0), fake_run(1, variant="keras")]
    curves = curves_of(runs, layers=[f"bn{i}" for i in range(layers)])
    assert size(draw_trajectories(compare(runs), curves)) == (200 + 250 * rows, 1200)


def test_what_is_not_finite_is_a_gap():
    arrays = trajectories()
    arrays["bn1/moving_mean"][10:] = np.nan
    arrays["bn1/moving_variance"][10:] = np.inf
    runs = [fake_run(0)]
    assert draw_trajectories(compare(runs), {runs[0].run_id: thinned(arrays, "0", {})})
