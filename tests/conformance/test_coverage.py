"""Nothing is left out: every variant has its YAML, every trait its variant, every verdict its example."""

import importlib
import re
from dataclasses import fields
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from completeness import problems

from bnexp.config.paths import names_in
from bnexp.diagnosis.diagnose import VERDICTS
from bnexp.graph.layer import variant_factory
from bnexp.variant import Traits

ROOT = Path(__file__).resolve().parents[2]
CLAIMS = {name: variant_factory(name, decay=0.9, epsilon=1e-3).func.traits for name in names_in("variant")}

# what no variant of the zoo can show: a slow decay is the run's fault, and a layer that normalises with nothing known
# is nobody's on purpose; tests/conformance/test_verdict.py and test_verdict_of_others.py have them
NO_VARIANTS_OWN = {"diverged", "lagging", "wrong_normalisation"}

YAML = "_target_: bnexp.variant.{}.BatchNorm\n_partial_: true\ndecay: ${{decay}}\nepsilon: ${{epsilon}}\n"


def test_every_variant_has_a_file_and_a_yaml():
    assert problems(ROOT / "bnexp" / "variant", ROOT / "conf" / "variant") == []


@pytest.fixture
def folders(tmp_path):
    """Two folders with one complete variant, `good`."""
    code, configs = tmp_path / "code", tmp_path / "conf"
    code.mkdir()
    configs.mkdir()
    for name in ("__init__", "good"):
        (code / f"{name}.py").touch()
    (configs / "good.yaml").write_text(YAML.format("good"))
    assert problems(code, configs) == []
    return code, configs


def test_a_file_without_its_yaml_is_found(folders):
    (folders[0] / "lonely.py").touch()
    assert problems(*folders) == ["lonely.py has no lonely.yaml"]


def test_a_yaml_without_its_file_is_found(folders):
    (folders[1] / "empty.yaml").write_text(YAML.format("empty"))
    assert problems(*folders) == ["empty.yaml has no empty.py"]


def test_a_yaml_that_points_elsewhere_is_found(folders):
    (folders[0] / "copied.py").touch()
    (folders[1] / "copied.yaml").write_text(YAML.format("good").replace("${decay}", "0.9"))
    assert problems(*folders) == [
        "copied.yaml: _target_ is bnexp.variant.good.BatchNorm, not bnexp.variant.copied.BatchNorm",
        "copied.yaml: decay is 0.9, not ${decay}",
    ]


def possible(hint: object) -> tuple:
    """Every value that a trait of a closed type can have."""
    return get_args(hint) if get_origin(hint) is Literal else (False, True)


CLOSED = {name: hint for name, hint in get_type_hints(Traits).items() if hint is bool or get_origin(hint) is Literal}


@pytest.mark.parametrize("trait", CLOSED)
def test_every_value_of_a_trait_is_claimed(trait):
    assert {getattr(traits, trait) for traits in CLAIMS.values()} == set(possible(CLOSED[trait]))


def test_open_traits_are_claimed_in_more_than_one_way():
    assert {field.name for field in fields(Traits)} - set(CLOSED) == {
        "document",
        "variance_ddof",
        "initial_mean",
        "initial_variance",
        "verdict",
    }
    assert {tuple(traits.variance_ddof.items()) for traits in CLAIMS.values()} == {
        ((2, 0), (4, 0)),
        ((2, 0), (4, 1)),
        ((2, 1), (4, 1)),
    }
    assert {traits.initial_variance for traits in CLAIMS.values()} == {0.0, 1.0}


def test_every_verdict_has_a_variant():
    assert {traits.verdict for traits in CLAIMS.values()} == {"healthy", *VERDICTS} - NO_VARIANTS_OWN


def test_verdicts_stand_in_the_order_of_their_gravity():
    # a layer with several mistakes is named by the first that applies: a cause comes before its consequences, as the
    # wrong mode before the updates that it keeps from running, and wrong in kind before wrong in degree
    assert list(VERDICTS) == [
        "no_statistics",
        "moving_statistics_in_training",
        "batch_statistics_at_inference",
        "updates_never_run",
        "separate_statistics",
        "leaks_at_inference",
        "test_data_in_statistics",
        "unordered_average",
        "double_update",
        "wrong_recurrence",
        "wrong_normalisation",
        "diverged",
        "lagging",
    ]


@pytest.mark.parametrize("name", names_in("variant"))
def test_the_first_word_says_what_a_variant_is_for(name):
    said = importlib.import_module(f"bnexp.variant.{name}").__doc__
    word = re.match(r"(WRONG|CONTROL|COMPARISON|Batch norm|Today's Keras)", said)
    assert word, said.splitlines()[0]
    if CLAIMS[name].verdict == "healthy":
        assert word[1] not in ("WRONG", "CONTROL")
    elif CLAIMS[name].verdict == "no_statistics":
        assert word[1] in ("CONTROL", "COMPARISON")
    else:
        assert word[1] == ("CONTROL" if name == "frozen" else "WRONG")  # frozen is on purpose, and judged all the same
    if word[1] == "WRONG":
        assert "\nCure: " in said
