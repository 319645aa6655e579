"""The report in a real browser: opened, clicked through, and held to it that it asks the network for nothing."""

import json
import os
import shutil

import pytest
from fakes import fake_run, trajectories
from test_html import HOSTILE

from bnexp.compare.curves import thinned
from bnexp.compare.html import html
from bnexp.compare.table import compare

# no driver is looked for, and nothing told, anywhere
os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.skipif(
        not (BROWSER and DRIVER), reason="no chromium and chromedriver: the report was not opened in a browser"
    ),
    pytest.mark.slow,
]

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,1000",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    yield driver
    driver.quit()


def runs():
    """Twelve runs: two variants, of which one leaks, and a hostile one; two decays; two seeds."""
    made = []
    for variant, verdict, batched in (
        ("ema", "healthy", None),
        ("contrib_twin", "leaks_at_inference", 0.95),
        (HOSTILE, "healthy", None),
    ):
        for decay in ("0.5", "0.9"):
            for seed in (0, 1):
                words = {"verdict": verdict, "accuracy": 0.7 + float(decay) / 10 + seed / 100, "batched": batched}
                made.append(fake_run(len(made), variant=variant, decay=decay, seed=seed, **words))
    return made


class Report:
    """A report that is open in a browser."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get(path.as_uri())

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        (found,) = self.all(selector)
        return found

    def click(self, selector):
        self.one(selector).click()

    def rows(self, column=0):
        """Returns a column of the rows that are to be seen."""
        return [
            row.find_elements(By.TAG_NAME, "td")[column].text.replace("\n", "")
            for row in self.all("tr.row")
            if row.is_displayed()
        ]

    def heading(self, name):
        (found,) = [th for th in self.all("th") if th.text.startswith(name)]
        return found

    def box(self, key, value):
        (found,) = [box for box in self.all(f"fieldset[data-key='{key}'] input") if box.get_attribute("value") == value]
        return found

    def traces(self, plot, kind=None):
        """Returns what a plot draws: the named properties of its traces."""
        found = self.browser.execute_script(
            "return document.getElementById(arguments[0]).data.map((t) => ({meta: t.meta, name: t.name, opacity: t.opacity,"
            " y: Array.from(t.y), x: Array.from(t.x), width: t.line?.width}))", plot)  # fmt: skip
        return [trace for trace in found if kind is None or trace["meta"] == kind]

    def choose(self, menu, value):
        Select(self.one(f"#{menu}")).select_by_value(value)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    some = runs()
    curves = {
        run.run_id: thinned(
            trajectories(seed=int(run.params["seed"]), decay=float(run.params["decay"])), run.params["seed"], {}
        )
        for run in some
    }
    some.append(fake_run(99, status="FAILED", tags={"bnexp.error": HOSTILE}))
    path = tmp_path_factory.mktemp("report") / "comparison.html"
    path.write_text(html(compare(some), curves, source="made by a test"))
    return path


def empty_logs(browser):
    return browser.get_log("browser"), [
        json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
    ]


def assert_quiet(browser):
    """Asserts that since the logs were emptied no page complained or asked for anything but itself."""
    console, events = empty_logs(browser)
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    # what is not a scheme of the page's own would leave the machine, or try to
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "chrome:"))] == []
    assert [entry for entry in console if entry["level"] in ("SEVERE", "WARNING")] == []


@pytest.fixture
def report(browser, page):
    empty_logs(browser)
    yield Report(browser, page)
    assert_quiet(browser)


def test_every_row_and_every_plot_is_there(report):
    assert report.one("h1").text == "12 runs that differ in variant, decay"
    assert report.one("#count").text == "All 12 runs."
    assert report.rows(1) == ["0.5", "0.9"] * 3
    for plot in ("accuracy", "mean", "variance"):
        assert report.all(f"#{plot} svg.main-svg")[0].is_displayed()
    # each seed has its own channels, so that one is drawn, and each decay is one line for the two healthy variants
    assert len(report.traces("mean", "moving")) == 4
    assert len(report.all("#lines button")) == 4


def test_filters_apply_to_table_and_plots_alike(report):
    report.box("decay", "0.9").click()
    assert report.one("#count").text == "6 of 12 runs."
    assert report.rows(1) == ["0.5"] * 3
    assert len(report.traces("mean", "moving")) == 2
    assert len(report.traces("accuracy")[-1]["x"]) == 3
    report.box("variant", "ema").click()
    assert len(report.rows()) == 2
    report.click("fieldset[data-key='variant'] [data-bulk='none']")
    assert report.rows() == []
    assert report.one("#count").text == "0 of 12 runs."
    report.click("fieldset[data-key='variant'] [data-bulk='all']")
    report.box("verdict", "healthy").click()
    assert len(report.rows()) == 1
    report.click("#reset")
    assert report.one("#count").text == "All 12 runs."
    assert report.box("decay", "0.9").is_selected()


def test_headings_sort_both_ways_and_the_plot_follows(report):
    accuracy = next(i for i, th in enumerate(report.all("th")) if th.text.startswith("accuracy"))
    button = report.heading("accuracy").find_element(By.TAG_NAME, "button")
    button.click()
    values = [float(text.split("±")[0]) for text in report.rows(accuracy)]
    assert values == sorted(values)
    assert len(set(values)) > 1
    assert report.heading("accuracy").get_attribute("aria-sort") == "ascending"
    assert report.traces("accuracy")[-1]["x"] == pytest.approx(values, abs=1e-4)
    # and with the keyboard alone
    report.heading("accuracy").find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    values = [float(text.split("±")[0]) for text in report.rows(accuracy)]
    assert values == sorted(values, reverse=True)
    assert report.heading("accuracy").get_attribute("aria-sort") == "descending"


def test_a_row_opens_for_what_was_seen_and_highlights_its_line(report):
    assert not [row for row in report.all("tr.detail") if row.is_displayed()]
    opener = report.all("tr.row .open")[0]
    opener.send_keys(Keys.ENTER)
    (detail,) = [row for row in report.all("tr.detail") if row.is_displayed()]
    assert "what was seen" in detail.text
    assert "what helps" in detail.text
    assert "a page" in detail.text
    assert opener.get_attribute("aria-expanded") == "true"
    assert sorted({trace["opacity"] for trace in report.traces("mean", "moving")}) == [0.15, 1]
    report.click("#expand")
    assert len([row for row in report.all("tr.detail") if row.is_displayed()]) == 6
    report.click("#expand")
    assert not [row for row in report.all("tr.detail") if row.is_displayed()]


def test_the_layer_changes_columns_and_plots(report):
    before, column = report.traces("variance", "moving"), len(report.all("th")) - 2
    assert report.rows(column) == ["0.02"] * 6
    report.choose("layer", "bn2")
    assert report.rows(column) == ["0.5"] * 6
    assert report.traces("variance", "moving") != before
    assert {element.text for element in report.all("figcaption .layer-name")} == {"bn2"}


def test_the_legend_highlights_lines(report):
    first = report.all("#lines button")[0]
    first.click()
    pressed = [button.get_attribute("aria-pressed") for button in report.all("#lines button")]
    assert pressed.count("true") == 1
    opacities = [trace["opacity"] for trace in report.traces("variance", "moving")]
    assert sorted(opacities) == [0.15, 0.15, 0.15, 1]
    # the keyboard stays where it was, and takes the highlight away again
    report.browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert {trace["opacity"] for trace in report.traces("variance", "moving")} == {1}


def test_seeds_channels_views_and_axes(report):
    assert len(report.traces("mean", "moving")) == 4
    report.choose("seed", "all")
    assert len(report.traces("mean", "moving")) == 8
    assert "seed 1" in report.one("#lines").text
    report.choose("seed", "=1")
    one = report.traces("mean", "moving")
    assert len(one) == 4
    report.choose("channel", "1")
    assert report.traces("mean", "moving") != one
    report.choose("view", "relative")
    lines, bands = report.traces("variance", "moving"), report.traces("variance", "band")
    assert len(lines) == len(bands) == 4
    assert not report.traces("variance", "population")
    # the average of decay 0.5 arrives at its population
    assert min(abs(line["y"][-1] - 1) for line in lines) < 0.1
    report.click("#log")
    assert report.browser.execute_script("return document.getElementById('mean').layout.xaxis.type") == "log"
    report.choose("colour", "decay")
    assert len(report.all("fieldset[data-key='decay'] .swatch[style*='block']")) == 2


def test_a_narrow_screen_needs_no_sideways_scrolling(report):
    report.browser.set_window_size(520, 900)
    try:
        report.browser.refresh()
        # Chromium's window has a least width; what counts is that the page is not wider than it
        widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        page_width, window = report.browser.execute_script(widths)
        assert page_width <= window
    finally:
        report.browser.set_window_size(1280, 1000)


def test_hostile_names_are_shown_and_run_nothing(report):
    shown = "".join(report.one("body").text.split())
    assert "".join(HOSTILE.split()) in shown
    assert not report.all("img")
    # plotly reads some HTML of its own in what it is given
    ticks = report.browser.execute_script("return document.getElementById('accuracy').layout.yaxis.ticktext")
    assert any("&lt;script&gt;" in tick for tick in ticks)
    assert not any("<script" in tick or "<img" in tick for tick in ticks)


def test_a_report_without_trajectories_opens(browser, tmp_path):
    some = [fake_run(0, restore="a"), fake_run(1, variant="keras", restore="b")]
    nothing = thinned(trajectories(layers=()), "0", {})
    path = tmp_path / "x.html"
    path.write_text(html(compare(some), {run.run_id: nothing for run in some}, source=""))
    report = Report(browser, path)
    assert report.one("#count").text == "All 2 runs."
    report.all("th button")[0].click()
    assert "None of these runs has trajectories" in report.one("#without").text
    path.write_text(html(compare(some[:0]), {}, source=""))
    assert "Nothing finished" in Report(browser, path).one("#results").text


def test_an_error_and_a_request_would_be_seen(browser, tmp_path):
    path = tmp_path / "x.html"
    path.write_text("<script>console.error('wrong')</script>")
    browser.get(path.as_uri())
    with pytest.raises(AssertionError, match="wrong"):
        assert_quiet(browser)
    path.write_text("<img src='http://127.0.0.1:9/x.png'>")
    browser.get(path.as_uri())
    with pytest.raises(AssertionError, match=r"x\.png"):
        assert_quiet(browser)
    empty_logs(browser)
