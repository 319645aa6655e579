"""`python -m bnexp.compare`, as a user runs it, and what a sweep's parent run keeps."""

import sys

import pandas as pd
import pytest
from fakes import FakeStore, trajectories
from omegaconf import OmegaConf

from bnexp.compare.__main__ import main
from bnexp.compare.report import write_pictures
from bnexp.compare.table import compare
from bnexp.sweep.parent import Sweep
from bnexp.tracking.reader import Store


@pytest.fixture
def fakes(folder):
    made = FakeStore(folder)
    parent = made.sweep()
    for variant, accuracy in (("ema", 0.9), ("keras", 0.8)):
        made.add(parent=parent, variant=variant, accuracy=accuracy, arrays=trajectories())
    made.add(parent=parent, variant="slim", status="FAILED", tags={"bnexp.error": "out of memory"})
    return made


@pytest.fixture
def command(fakes, monkeypatch, capsys):
    def run(*arguments):
        line = ["bnexp.compare", f"tracking.uri={fakes.uri}", *arguments]
        if "--help" in arguments:
            line = ["bnexp.compare", "--help"]
        monkeypatch.setattr(sys, "argv", line)
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


def test_a_table_and_a_report(command, folder):
    status, out, err = command()
    assert (status, err) == (0, "")
    assert out.startswith("2 runs that differ in variant\n")
    assert "FAILED a run: out of memory" in out
    assert "report: runs/comparison.html (" in out
    text = (folder / "runs" / "comparison.html").read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert text.rstrip().endswith("</html>")
    # written whole: nothing else lies beside it
    assert not [path for path in (folder / "runs").iterdir() if path.name.startswith(".comparison")]


def test_markdown_alone_is_what_can_be_pasted(command, folder):
    status, out, err = command("markdown=true", "html=deep/er/x.html")
    assert status == 0
    assert all(line.startswith("|") for line in out.splitlines())
    assert "report: deep/er/x.html" in err
    assert (folder / "deep" / "er" / "x.html").is_file()


def test_csv_sort_and_no_report(command, folder):
    status, out, _ = command("csv=x.csv", "html=null", "sort=accuracy", "by=[decay]")
    assert status == 0
    assert "report:" not in out
    assert not (folder / "runs" / "comparison.html").exists()
    table = pd.read_csv(folder / "x.csv")
    assert list(table["variant"]) == ["keras", "ema"]
    assert table.columns[0] == "decay"


def test_runs_and_filter_choose(command, fakes):
    first = fakes.add(variant="frozen", accuracy=0.5)
    assert command(f"runs=[{first}]", "html=null")[1].startswith("1 run\n")
    assert command("filter=metrics.`test/accuracy` > 0.85", "html=null")[1].startswith("1 run\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sort=wat"], "sort=wat: the table has no such column."),
        (["by=[wat]"], "by=[wat]: no run has such a param."),
        (["runs=[wat]"], "runs=[wat]: the store has no such run"),
        (["filter=params.decay = '7'"], "filter=params.decay = '7': no run matches it."),
        (["tracking.experiment=wat"], "tracking.experiment=wat: "),
        (["html=/proc/x/y.html"], "html=/proc/x/y.html: must be a folder that can be written to, got /proc/x"),
        (["wat=1"], "wat=1: there is no key wat."),
    ],
)
def test_mistakes_are_one_message(command, arguments, message):
    status, out, err = command(*arguments)
    assert status == 1
    assert out == ""
    assert err.startswith(f"bnexp: {message}")
    assert err.count("\n") == 1


def test_help_needs_no_store(command, folder):
    status, out, _ = command("--help")
    assert status == 0
    assert "runs=[ID,ID,...]" in out


def test_pictures_of_a_sweep(fakes, tmp_path):
    here = Store(fakes.uri, "bnexp")
    assert write_pictures(here, compare(here.latest_sweep()), tmp_path) == []
    assert (tmp_path / "comparison.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "trajectories.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_told_and_costs_nothing_else(fakes, tmp_path, monkeypatch):
    def fail(*arguments, **words):
        raise RuntimeError("no ink\nat all")

    here = Store(fakes.uri, "bnexp")
    comparison = compare(here.latest_sweep())
    monkeypatch.setattr("bnexp.compare.report.draw_trajectories", fail)
    assert write_pictures(here, comparison, tmp_path) == ["trajectories.png could not be made (RuntimeError: no ink)."]
    assert [path.name for path in tmp_path.glob("comparison*")] == ["comparison.html"]
    monkeypatch.setattr("bnexp.compare.report.html", fail)
    assert len(write_pictures(here, comparison, tmp_path)) == 2


def finished_sweep(fakes):
    """Ends a sweep of two jobs that nobody ran, and returns its parent run and what it holds."""
    config = {
        "hydra": {
            "launcher": {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"},
            "overrides": {"task": ["variant=ema,keras"]},
            "sweep": {"dir": "runs/hydra"},
        },
        "tracking": {"uri": fakes.uri, "experiment": "bnexp"},
        "resume": False,
    }
    sweep = Sweep.start(OmegaConf.create(config))
    for variant in ("ema", "keras"):
        fakes.add(parent=sweep.run_id, variant=variant, arrays=trajectories())
    assert sweep.finish() == []
    return fakes.client.get_run(sweep.run_id), {path.name for path in fakes.artifacts(sweep.run_id).iterdir()}


def test_a_sweeps_parent_run_keeps_table_report_and_plots(fakes):
    parent, files = finished_sweep(fakes)
    assert parent.info.status == "FINISHED"
    assert files == {"comparison.json", "comparison.csv", "comparison.html", "trajectories.png"}
    assert "bnexp.undrawn" not in parent.data.tags


def test_a_sweep_that_cannot_be_drawn_keeps_its_table_and_status_and_says_so(fakes, monkeypatch, capsys):
    def fail(*arguments, **words):
        raise RuntimeError("no ink")

    monkeypatch.setattr("bnexp.compare.report.read_curves", fail)
    parent, files = finished_sweep(fakes)
    assert parent.info.status == "FINISHED"
    assert files == {"comparison.json", "comparison.csv"}
    words = (
        "comparison.html could not be made (RuntimeError: no ink). "
        "trajectories.png could not be made (RuntimeError: no ink)."
    )
    assert parent.data.tags["bnexp.undrawn"] == words
    assert capsys.readouterr().err == f"bnexp: the sweep's table is stored, but {words}\n"
    # and no longer, once there is ink again
    monkeypatch.undo()
    again = Sweep.reopen(parent.info.run_id, uri=fakes.uri, experiment="bnexp", status="FINISHED")
    assert again.finish() == []
    assert "bnexp.undrawn" not in fakes.client.get_run(parent.info.run_id).data.tags
