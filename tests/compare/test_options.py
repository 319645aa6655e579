"""What the command line of compare takes, and what it says of the rest."""

from pathlib import Path

import pytest

from bnexp.compare.options import HELP, Options, options_of
from bnexp.errors import UserError


def test_every_option_is_read():
    assert options_of(
        ["runs=[12,ab]", "by=[variant, decay]", "sort=-accuracy", "html=a.html", "csv=b.csv", "markdown=true"]
    ) == Options(
        runs=("12", "ab"),
        by=("variant", "decay"),
        sort="-accuracy",
        html=Path("a.html"),
        csv=Path("b.csv"),
        markdown=True,
    )
    assert options_of(['filter=params.decay = "0.9"', "tracking.uri=http://host", "tracking.experiment=e"]) == Options(
        filter='params.decay = "0.9"', uri="http://host", experiment="e"
    )


def test_defaults():
    assert options_of([]) == Options()
    assert options_of(["html=null"]).html is None


def test_one_name_needs_no_brackets():
    assert options_of(["runs=ab", "by='variant'"]) == Options(runs=("ab",), by=("variant",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=[a]"], "run=[a]: there is no key run. Did you mean runs=[a]?"),
        (["wat=1"], "wat=1: there is no key wat. Take one of runs, filter, by, sort, html, csv, markdown, tracking.uri, tracking.experiment, or see --help."),
        (["runs"], "runs: must be runs=VALUE. See --help."),
        (["runs="], "runs=: must be runs=VALUE. See --help."),
        (["runs=[]"], "runs must be a list such as runs=[A,B], got []."),
        (["by=[a"], "by must be a list such as by=[A,B], got [a."),
        (["markdown=1"], "markdown must be true or false, got 1."),
        (["html=/"], "html must be a file, got the folder /. Write html=/comparison.html."),
        (["csv=/"], "csv must be a file, got the folder /. Write csv=/comparison.csv."),
        (["runs=[a]", "filter=x"], "runs and filter cannot both be given. Leave one of them out."),
    ],
)  # fmt: skip
def test_mistakes(arguments, message):
    with pytest.raises(UserError) as caught:
        options_of(arguments)
    assert str(caught.value) == message


def test_help_names_every_option_and_fits_a_terminal():
    keys = {line.strip().partition("=")[0] for line in HELP.splitlines() if line.startswith("  ") and "=" in line}
    assert {"runs", "filter", "by", "sort", "html", "csv", "markdown", "tracking.uri", "tracking.experiment"} <= keys
    assert max(map(len, HELP.splitlines())) <= 81
