"""One owner of how grave a verdict is: the report and the comparison colour alike."""

import io

import pytest
from rich.console import Console

from bnexp.compare.colours import COLOURS
from bnexp.diagnosis.diagnose import VERDICTS
from bnexp.diagnosis.severity import SIGNS, STYLES, severity, style
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.record.report import print_report

WORDS = [*VERDICTS, "healthy"]


@pytest.mark.parametrize("verdict", WORDS)
def test_only_three_verdicts_are_not_wrong(verdict):
    right = {"healthy": "good", "lagging": "slow", "no_statistics": "none"}
    assert severity(verdict) == right.get(verdict, "wrong")


def test_of_several_the_gravest_counts():
    assert severity("healthy; lagging") == "slow"
    assert severity("lagging; leaks_at_inference") == "wrong"
    assert severity("no_statistics; healthy") == "good"
    assert severity("") == "none"


def test_every_verdict_and_every_severity_has_a_look():
    assert set(COLOURS) == set(WORDS)
    assert set(STYLES) == set(SIGNS) == {severity(verdict) for verdict in WORDS}


@pytest.mark.parametrize("verdict", ["healthy", "lagging", "leaks_at_inference", "no_statistics"])
def test_the_report_colours_a_verdict_by_its_severity(verdict):
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    looks = {"metrics": {}, "run_id": "1", "where": "there", "device": "CPU"}
    print_report(console, title="t", diagnosis=Diagnosis(verdict, "because"), **looks)
    code = {"green": "32", "yellow": "33", "red": "31", "": ""}[style(verdict)]
    start = f"\x1b[1;{code}m" if code else "\x1b[1m"
    assert f"{start}{verdict}\x1b[0m: because" in console.file.getvalue()
