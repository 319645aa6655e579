"""Layers as other people write them, from 2015 to today, run as they stand: each is adapted and judged rightly."""

import pytest
from judging import judged
from own_layers.cases import CASES
from small import settings

from bnexp.config.make import make

RANKED = [(case, rank) for case in CASES for rank in case.ranks]


def layer_of(case):
    """Returns the layer of a case as the command line makes it, with its overrides."""
    return make(settings(f"variant._target_=own_layers.{case.target}", *case.overrides), "variant")


@pytest.mark.parametrize(("case", "rank"), RANKED, ids=[f"{case.target}-{rank}" for case, rank in RANKED])
def test_a_layer_in_another_style_is_judged_rightly(case, rank):
    diagnosis = judged(layer_of(case), rank)
    assert diagnosis.verdict == case.verdict, f"{case.why}: {diagnosis.sentence}"


def test_half_of_them_are_right():
    right = sum(case.verdict == "healthy" for case in CASES)
    assert len(CASES) >= 40
    assert 0.4 < right / len(CASES) < 0.6
