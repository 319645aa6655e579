"""Which run a run is: its params, its name, its title, and the key by which another attempt at it is found."""

import json
from dataclasses import replace
from hashlib import sha256

import pytest
from omegaconf import OmegaConf
from small import compose, settings

from bnexp.config.schema import GROUPS, Tracking
from bnexp.names import JOB_TAG
from bnexp.record.identity import flatten, identify, public

CHOICES = dict(zip(GROUPS, ("digits", "mlp", "update_ops", "none", "adam"), strict=True))


def identity(*overrides, **choices):
    return identify(settings(*overrides), CHOICES | choices, overrides)


def test_flatten():
    nested = {"a": 1, "b": {"c": None, "d": {"e": [1, 2]}}, "f": {}}
    assert flatten(nested) == {"a": 1, "b.c": None, "b.d.e": "[1, 2]"}


def test_params_are_names_and_values():
    found = identity("variant=ema", "decay=0.5", **{"variant": "ema", "hydra/launcher": "basic"}).params
    assert (found["variant"], found["variant.decay"], found["decay"]) == ("ema", 0.5, 0.5)
    assert found["network.widths"] == "[100, 100, 100]"
    assert "hydra/launcher" not in found


def test_the_name_is_what_was_asked_for_or_else_the_variant():
    assert identity(
        "decay=0.5", "tracking.uri=postgresql://me:secret@host/db", "resume=true", "verbose=true", "seed=1"
    ).name == ("decay=0.5 seed=1")
    assert identity().name == identity("resume=true", "tracking.experiment=e").name == "update_ops"


def test_the_title_is_the_choices_and_the_decay():
    assert identity("decay=0.50", "variant=ema", variant="ema").title == "digits, mlp, ema, none, adam, decay 0.5"


@pytest.mark.parametrize("given", ["decay", "variant.decay"])
def test_the_decay_is_the_layer_s_wherever_it_was_said(given):
    found = identity(f"{given}=0.999")
    assert found.decay == 0.999
    assert (found.params["decay"], found.params["variant.decay"]) == (0.999, 0.999)
    assert found.title.endswith(", decay 0.999")
    # and it is the same run
    assert found.key == identity("decay=0.999").key != identity().key


def test_epsilon_is_the_layer_s_wherever_it_was_said():
    found = identity("variant.epsilon=0.5")
    assert (found.params["epsilon"], found.params["variant.epsilon"]) == (0.5, 0.5)
    assert found.key == identity("epsilon=0.5").key != identity().key


def test_a_target_of_one_s_own_goes_by_its_own_name():
    for group in ("variant", "network", "final_pass"):
        found = identity(f"{group}._target_=my.module.Thing")
        assert found.params[group] == found.choices[group] == "my.module.Thing"
        assert "my.module.Thing" in found.title.split(", ")
        assert found.choices | {group: CHOICES[group]} == CHOICES


def test_a_variant_that_was_renamed_goes_by_its_present_name():
    """Also where the config of an older run says it."""
    old = settings("variant=layer_norm")
    old = replace(old, variant={**old.variant, "_target_": "bnexp.variant.sample_wise.BatchNorm"})
    for given in (settings("variant=layer_norm"), old):
        found = identify(given, CHOICES | {"variant": "sample_wise"})
        assert found.name == found.choices["variant"] == found.params["variant"] == "layer_norm"
        assert found.title == "digits, mlp, layer_norm, none, adam, decay 0.9"


def test_the_key_is_that_of_all_attempts_at_a_run_and_of_no_other():
    given = settings("seed=3")
    own = identify(given, CHOICES)
    assert own.tags == {JOB_TAG: own.key}
    assert len(own.key) == 32
    elsewhere = Tracking("http://host", "e")
    for same in ({"tracking": elsewhere}, {"resume": True}, {"reuse": False}, {"verbose": True}):
        assert identify(replace(given, **same), CHOICES, ["seed=3"]).key == own.key
    # a number says what it is, however it was written
    assert identity("seed=03", "decay=0.90").key == own.key
    narrow = {**given.network, "widths": [5]}
    others = [{"seed": 4}, {"steps": 7}, {"engine": "session"}, {"eval_batch_size": 7}, {"restore": "abc"}]
    for other in [*others, {"network": narrow}]:
        assert identify(replace(given, **other), CHOICES).key != own.key


def test_the_key_is_that_which_runs_of_older_bnexps_have():
    tree = OmegaConf.to_container(compose("seed=3"), resolve=True)
    # verbose, which they did not have, must not make it another
    wanted = {key: value for key, value in tree.items() if key not in ("tracking", "resume", "reuse", "verbose")}
    digest = sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:32]
    assert identity("seed=3", "tracking.uri=sqlite:///x.db").tags == {"bnexp.job": digest}


def test_a_password_is_not_recorded():
    given = settings("tracking.uri='postgresql://me:secret@host/db'")
    assert public(given)["tracking"]["uri"] == "postgresql://me:***@host/db"
    assert "secret" not in json.dumps(public(given))
    assert "secret" not in str(identify(given, CHOICES))
    # and the settings that connect still have it
    assert given.tracking.uri == "postgresql://me:secret@host/db"
