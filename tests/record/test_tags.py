"""The diagnosis as tags of its run: all of it is there, and comes back."""

import json
from dataclasses import replace

import pytest

from bnexp.diagnosis.audit import Finding
from bnexp.diagnosis.verdict import Diagnosis
from bnexp.record.tags import diagnosis_json, diagnosis_of, diagnosis_tags, finding_lines

FINDINGS = tuple(Finding("update_at_inference", "bn1", f"bn1/op{i}", f"op{i} writes") for i in range(5))
WRONG = Diagnosis(
    "updates_never_run",
    "the mean is [0]",
    "a page",
    "run them",
    ("lagging", "diverged"),
    FINDINGS,
    {"initial_mean": 0.0},
)


def test_a_tag_for_each_part():
    tags = diagnosis_tags(WRONG)
    note = tags.pop("mlflow.note.content")
    assert tags == {
        "bnexp.verdict": "updates_never_run",
        "bnexp.sentence": "the mean is [0]",
        "bnexp.document": "a page",
        "bnexp.cure": "run them",
        "bnexp.also": "lagging, diverged",
    }
    assert note == (
        "**verdict**: updates_never_run\n\n**sentence**: the mean is [0]\n\n**document**: a page\n\n"
        "**cure**: run them\n\n**also**: lagging, diverged\n\n"
        "**in the graph**:\n- op0 writes\n- op1 writes\n- op2 writes\n- and 2 more, in diagnosis.json"
    )


def test_what_there_is_not_has_no_tag():
    assert diagnosis_tags(Diagnosis("healthy", "all is well")) == {
        "bnexp.verdict": "healthy",
        "bnexp.sentence": "all is well",
        "mlflow.note.content": "**verdict**: healthy\n\n**sentence**: all is well",
    }


@pytest.mark.parametrize("diagnosis", [WRONG, replace(WRONG, also=("lagging",)), Diagnosis("healthy", "all is well")])
def test_it_comes_back_from_the_tags_but_for_the_findings_and_figures(diagnosis):
    assert diagnosis_of({**diagnosis_tags(diagnosis), "other": "x"}) == replace(diagnosis, findings=(), figures={})


def test_a_run_of_an_older_bnexp_has_no_others():
    assert diagnosis_of({"bnexp.verdict": "lagging", "bnexp.sentence": "slow"}) == Diagnosis("lagging", "slow")


def test_the_file_has_everything():
    assert json.loads(diagnosis_json(WRONG)) == {
        "verdict": "updates_never_run",
        "sentence": "the mean is [0]",
        "document": "a page",
        "cure": "run them",
        "also": ["lagging", "diverged"],
        "findings": [
            {"check": "update_at_inference", "layer": "bn1", "op": f"bn1/op{i}", "sentence": f"op{i} writes"}
            for i in range(5)
        ],
        "figures": {"initial_mean": 0.0},
    }


@pytest.mark.parametrize(
    ("count", "lines"),
    [
        (0, []),
        (3, ["op0 writes", "op1 writes", "op2 writes"]),
        (4, ["op0 writes", "op1 writes", "op2 writes", "and 1 more, in diagnosis.json"]),
    ],
)
def test_the_first_findings_are_told(count, lines):
    assert finding_lines(replace(WRONG, findings=FINDINGS[:count])) == lines
