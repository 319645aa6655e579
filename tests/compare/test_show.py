"""A comparison in a terminal, in a pipe and in Markdown."""

import io

import pytest
from fakes import fake_run
from rich.console import Console

from bnexp.compare.show import fold, markdown_table, print_comparison, table_lines
from bnexp.compare.table import compare

VARIANTS = ("contrib_twin", "ema", "update_ops_collected_too_early")


def sweep(variants=VARIANTS, decays=(0.9, 0.999), seeds=(0, 1)):
    runs = []
    for variant in variants:
        for decay in decays:
            for seed in seeds:
                wrong = variant == "contrib_twin"
                verdict = "leaks_at_inference" if wrong else "healthy"
                words = {"verdict": verdict, "accuracy": 0.5 + seed / 3, "batched": 0.9 if wrong else None}
                runs.append(fake_run(len(runs), variant=variant, decay=decay, seed=seed, **words))
    return runs


def printed(comparison, *, terminal, width=80):
    stream = io.StringIO()
    print_comparison(Console(file=stream, force_terminal=terminal, width=width, color_system=None), comparison)
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    text = printed(compare(sweep()), terminal=True, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_a_pipe_gets_every_row_on_one_line():
    lines = printed(compare(sweep()), terminal=False).splitlines()
    rows = [line for line in lines if "healthy" in line or "leaks_at_inference" in line]
    assert len(rows) == 6
    assert sum(line.startswith("update_ops_collected_too_early  0.9 ") for line in lines) == 1


def test_groups_are_named_once():
    lines, _ = table_lines(compare(sweep()), width=200)
    assert sum(line.startswith("ema") for line, _ in lines) == 1
    # what a row repeats is blank, and a blank line stands between groups
    assert sum(line == "" for line, _ in lines) == 2


def test_spread_stands_beside_its_mean_and_only_where_there_is_any():
    text = printed(compare(sweep(["ema"], [0.9])), terminal=False)
    assert "0.6667 ± 0.24" in text
    assert "± 0 " not in text
    assert "± is the sample standard deviation over n seeds" in text
    assert "±" not in printed(compare(sweep(["ema"], [0.9], [0])), terminal=False)


def test_what_is_left_out_is_told():
    lines, missing = table_lines(compare(sweep()), width=60)
    heading = lines[0][0]
    assert "flips" not in heading
    assert missing[:2] == ["flips is 0 in all rows", "moved is 0 in all rows"]
    assert missing[2].startswith("left out in this narrow terminal, and in the report: ")
    assert not any("too wide" in line for line in table_lines(compare(sweep()), width=200)[1])


def test_a_row_has_the_colour_of_its_verdict():
    lines, _ = table_lines(compare(sweep(seeds=[0])), width=200)
    styles = {line.split()[-1]: style for line, style in lines[2:] if line}
    assert styles == {"leaks_at_inference": "red", "healthy": "green"}


def test_notes_and_unfinished_runs_are_told_and_no_bracket_is_markup():
    runs = [*sweep(), fake_run(90, status="FAILED", tags={"bnexp.error": "[bold]out of [/] memory"})]
    text = printed(compare([*runs, runs[0]], by=["variant"]), terminal=False)
    assert "Runs equal in variant also differ in decay" in text
    assert "1 run did not finish and is in no row:\n  FAILED run 90: [bold]out of [/] memory" in text


def test_nothing_finished_is_no_table():
    text = printed(compare([fake_run(0, status="KILLED")]), terminal=True)
    assert text.startswith("no finished run\n")
    assert "KILLED run 0: no message" in text


def test_markdown_escapes_what_would_end_a_cell():
    table = markdown_table(compare([fake_run(0, variant="a|b"), fake_run(1, variant="c\nd")]))
    heading, rule, first, second = table.splitlines()
    assert heading.startswith("| variant | accuracy | before final pass | batched | batch statistics |")
    assert set(rule) == set("| -")
    assert first.startswith("| a\\|b | 0.9000 |")
    assert second.startswith("| c d |")
    assert first.endswith("| healthy | a page |")


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("short", 9, ["short"]),
        ("update_ops_forgotten", 12, ["update_ops_", "forgotten"]),
        ("a b", 1, ["a", "b"]),
        ("abcdef", 4, ["abcd", "ef"]),
        ("", 3, [""]),
    ],
)
def test_words_break_after_their_parts(text, width, lines):
    assert fold(text, width) == lines
