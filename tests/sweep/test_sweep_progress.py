"""What a sweep prints: a line a job, its place among all, and the table and the report's path at the end."""

import pytest

from bnexp.names import JOBS_VARIABLE
from bnexp.sweep.progress import place, print_job


def line(capsys, *arguments, **more):
    print_job(*arguments, **more)
    return capsys.readouterr().out


def test_a_job_is_one_line_however_long(capsys, monkeypatch):
    monkeypatch.setenv(JOBS_VARIABLE, "35")
    overrides = ["variant=contrib", "decay=0.9", "tracking.uri=sqlite:///x.db", "resume=true"]
    said = line(capsys, 2, overrides, {"test/accuracy": 0.97464}, "healthy", seconds=1.94)
    assert said == " 3/35  variant=contrib decay=0.9             0.9746  healthy  1.9 s\n"
    long = [f"network.widths=[{','.join(['100'] * 40)}]"]
    note = "shares the training of run 0123456789abcdef"
    said = line(capsys, 34, long, {}, "lagging", seconds=0.25, note=note)
    assert said == f"35/35  {long[0]}       -  lagging  0.2 s  {note}\n"


def test_what_looks_like_markup_is_text(capsys):
    said = line(capsys, 0, ["network.widths=[bold]"], {}, "healthy", seconds=1.0, note="[red]x[/]")
    assert "network.widths=[bold]" in said
    assert "[red]x[/]" in said


@pytest.mark.parametrize(("total", "number", "said"), [("9", 0, "1/9"), ("120", 9, " 10/120"), ("0", 4, "#5")])
def test_a_job_s_place_among_all(monkeypatch, total, number, said):
    monkeypatch.setenv(JOBS_VARIABLE, total)
    assert place(number) == said
