"""The diagnosis is right for every variant of the zoo."""

from dataclasses import replace
from functools import cache, partial

import pytest
from judging import evidence, judged

from bnexp.config.paths import names_in
from bnexp.diagnosis.diagnose import diagnose
from bnexp.diagnosis.fingerprint import fingerprint
from bnexp.graph.layer import variant_factory


@cache
def variant(name):
    return variant_factory(name, decay=0.9, epsilon=1e-3)


RIGHT = [n for n in names_in("variant") if variant(n).func.traits.verdict == "healthy"]

# what remembers its start: all but the debiased average
LAG = [n for n in RIGHT if n != "zero_debias"]


@pytest.mark.parametrize("network", [2, "cnn"])  # tests/diagnosis/test_audit.py audits every variant in an mlp
@pytest.mark.parametrize("name", names_in("variant"))
def test_verdict_is_the_claimed_one(name, network):
    diagnosis = judged(variant(name), network)
    assert diagnosis.verdict == variant(name).func.traits.verdict, diagnosis.sentence
    # a mistake comes with where it is written down and what to do
    assert bool(diagnosis.cure) == bool(diagnosis.document) == (diagnosis.verdict not in ("healthy", "no_statistics"))


# of each verdict one
EXAMPLES = {variant(name).func.traits.verdict: name for name in names_in("variant")}


@pytest.mark.parametrize("name", EXAMPLES.values(), ids=EXAMPLES)
def test_verdict_does_not_read_the_traits(name):
    """The same layer that claims the opposite is judged the same."""
    honest = variant(name)
    claims = replace(
        honest.func.traits, verdict="healthy", moving="ema", inference_updates=False, ordered=True, document=""
    )
    liar = partial(type("Liar", (honest.func,), {"traits": claims}), **honest.keywords)
    # the graph is the same, so is its audit
    seen = replace(evidence(honest, 2), fingerprint=fingerprint(liar))
    assert diagnose(seen).verdict == honest.func.traits.verdict


@pytest.mark.parametrize("name", LAG)
def test_right_but_slow_is_lagging(name):
    slow = replace(evidence(variant(name), 2), decay=0.999, steps=100)
    diagnosis = diagnose(slow)
    assert diagnosis.verdict == "lagging"
    # .999**100; the slowest of the usual decays that leaves at most half a hundredth after 100 steps is .9
    assert "after 100 steps 0.999**100 = 0.905 of the initial 0 and 1 is left in the averages" in diagnosis.sentence
    assert diagnosis.cure == "decay=0.9 would have served; or take final_pass=layerwise"
    assert diagnose(replace(slow, decay=0.9)).verdict == "healthy"


def test_a_debiased_average_does_not_lag():
    assert diagnose(replace(evidence(variant("zero_debias"), 2), decay=0.999, steps=100)).verdict == "healthy"


@pytest.mark.parametrize("name", [n for n in names_in("variant") if n not in RIGHT])
def test_wrong_in_kind_comes_before_wrong_in_degree(name):
    slow = replace(evidence(variant(name), 2), decay=0.999, steps=100)
    assert diagnose(slow).verdict == variant(name).func.traits.verdict
