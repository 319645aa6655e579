"""The report as text: self-contained, and safe whatever a run is called."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from fakes import fake_run, trajectories

from bnexp.compare.colours import COLOURS, OTHER_COLOUR, colour
from bnexp.compare.columns import columns_of, number_text
from bnexp.compare.curves import RunCurves, thinned
from bnexp.compare.data import in_script, script_data
from bnexp.compare.html import html
from bnexp.compare.table import compare
from bnexp.diagnosis.diagnose import VERDICTS

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&]]>--></style>{{ 7 * 7 }}"
NOTHING = RunCurves(np.zeros(0, np.int32), np.zeros(0, np.int32), problem="its trajectories.npz is missing")


def curves_of(runs, **words):
    return {run.run_id: thinned(trajectories(**words), run.params["seed"], {}) for run in runs}


def page_of(runs, curves=None, **words):
    comparison = compare(runs, **words)
    return html(comparison, curves or {run.run_id: NOTHING for run in runs}, source="made by a test")


class Page(HTMLParser):
    """Collects what a browser would load, the scripts, and the text."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.tags, self.text, self.data = [], [], [], ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        attributes = dict(attributes)
        self._inside = "data" if attributes.get("id") == "data" else tag
        self.loads += [value for key, value in attributes.items() if key in ("src", "href", "action", "data")]

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "data":
            self.data += data
        elif self._inside not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def test_nothing_is_loaded_from_anywhere():
    text = page_of([fake_run(0)])
    assert [load for load in Page(text).loads if not load.startswith("data:,")] == []
    # and nothing may be, whatever a script tries
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_hostile_names_stay_text():
    runs = [
        fake_run(0, variant=HOSTILE, verdict=HOSTILE, tags={"bnexp.sentence": HOSTILE, "bnexp.cure": HOSTILE}),
        fake_run(1, variant="ema", new=HOSTILE),
        fake_run(2, status="FAILED", tags={"bnexp.error": HOSTILE}),
    ]
    harmless = page_of([fake_run(0, variant="a"), fake_run(1, variant="ema", new="b"), fake_run(2, status="FAILED")])
    hostile = Page(page_of(runs, {run.run_id: NOTHING for run in runs}))
    assert {tag: hostile.tags.count(tag) for tag in ("script", "img", "style")} == {
        tag: harmless.count(f"<{tag}") for tag in ("style",)
    } | {"script": 3, "img": 0}
    assert json.loads(hostile.data)["rows"][0]["keys"]["variant"] in (HOSTILE, "ema")
    assert hostile.words.count("".join(HOSTILE.split())) + hostile.words.count(HOSTILE) >= 6


def test_json_cannot_end_its_script():
    text = in_script({"a": HOSTILE})
    assert not set(text) & set("<>&")
    assert json.loads(text) == {"a": HOSTILE}


def test_the_page_says_what_is_compared_and_how_it_came_about():
    runs = [fake_run(i, variant=variant, steps=steps, seed=seed) for i, (variant, steps, seed) in enumerate(
        [("ema", 30, 0), ("ema", 30, 1), ("ema", 60, 0), ("keras", 30, 0)])]  # fmt: skip
    runs += [fake_run(9, status="KILLED", tags={"bnexp.error": "stopped by SIGTERM"})]
    words = Page(page_of(runs, by=["variant"])).words
    assert "4 runs that differ in variant, steps" in words
    assert "4 runs are healthy" in words
    assert "Runs equal in variant also differ in steps: they are kept apart, not averaged." in words
    assert "KILLED run 9" in words
    assert "stopped by SIGTERM" in words
    assert "Seen what was seen" in words
    assert "dataset digits" in words


def test_spread_and_n_are_in_the_table():
    words = Page(page_of([fake_run(i, seed=i, accuracy=value) for i, value in enumerate([0.5, 0.7])])).words
    assert "0.6000 ± 0.14" in words
    assert "A row is the mean of n seeds" in words


def test_one_run_is_a_report_too():
    words = Page(page_of([fake_run(0)])).words
    assert words.startswith("bnexp: 1 run 1 run Batch normalisation, judged")
    assert "None of these runs has trajectories" in words


def test_without_a_finished_run_the_page_says_so_and_runs_no_script():
    page = Page(page_of([fake_run(0, status="FAILED", tags={"bnexp.error": "out of memory"})]))
    assert "Nothing finished" in page.words
    assert "out of memory" in page.words
    assert page.tags.count("script") == 1  # the empty data


def test_every_column_is_explained_but_keys_that_explain_themselves():
    columns = columns_of(compare([fake_run(0, variant="ema"), fake_run(1, variant="keras")]))
    assert [column.name for column in columns if not column.meaning] == ["variant"]
    assert all(column.unit for column in columns if column.kind in ("number", "layer"))


def test_columns_that_add_nothing_are_left_out():
    names = [column.name for column in columns_of(compare([fake_run(0)]))]
    assert "before final pass" not in names
    assert "n" not in names


def test_two_hundred_runs_stay_a_page_that_can_be_sent():
    runs = [fake_run(i, decay=f"0.{i:03}", seed=0) for i in range(1, 201)]
    some = thinned(trajectories(steps=1000, layers=("bn1", "bn2", "bn3"), channels=100), "0", {})
    arrays = {run.run_id: some for run in runs}
    # each of its own, so that none is shared
    for i, run in enumerate(runs):
        arrays[run.run_id] = RunCurves(
            some.steps, some.snapshot_steps, {name: shifted(layer, i) for name, layer in some.layers.items()}
        )
    text = page_of(runs, arrays)
    assert len(text) < 13e6
    assert "percentiles 10, 25, 50, 75, 90" in page_of(runs[:1], {runs[0].run_id: some})
    # and it says what it left out
    assert "percentiles 10, 25, 50, 75, 90" not in text


def shifted(layer, i):
    return type(layer)(
        layer.channels,
        *(
            getattr(layer, name) + i
            for name in ("moving_mean", "moving_variance", "population_mean", "population_variance")
        ),
    )


def test_what_runs_share_is_kept_once():
    runs = [fake_run(i, final_pass=name) for i, name in enumerate(["none", "paper"])]
    data = script_data(compare(runs), curves_of(runs))
    first, second = data["runs"]
    assert first["layers"] == second["layers"]
    assert len(data["arrays"]) == len(set(data["arrays"])) == 2 + 2 * 4  # steps, snapshots, and four of each layer


def test_numbers_that_are_none_are_null():
    run = fake_run(0, accuracy=float("nan"))
    text = in_script(script_data(compare([run]), {run.run_id: NOTHING}))
    assert json.loads(text)["rows"][0]["accuracy"] is None


def test_colours_tell_verdicts_apart_at_first_where_there_are_several():
    same = [fake_run(i, variant="ab"[i]) for i in range(2)]
    other = [fake_run(0, variant="a"), fake_run(1, variant="b", verdict="lagging")]
    curves = {run.run_id: NOTHING for run in same}
    assert script_data(compare(same), curves)["colour_by"] == "variant"
    assert script_data(compare(other), curves)["colour_by"] == "verdict"


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_a_colour_of_its_own(verdict):
    assert [name for name, value in COLOURS.items() if value == colour(verdict)] == [verdict]


def test_seeds_that_disagree_have_a_colour_of_their_own():
    assert colour("healthy; lagging") == OTHER_COLOUR
    assert OTHER_COLOUR not in COLOURS.values()
    assert colour("") == colour("no_statistics")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.12345, "0.1235"),
        ("flips", 3.0, "3"),
        ("moved", 1.23456e-9, "1.23e-09"),
        ("flips", float("nan"), "-"),
    ],
)
def test_figures(name, value, text):
    assert number_text(name, value) == text
