"""What a run was asked for, as plain values, and what is said of values that break a rule."""

import pytest
from omegaconf import OmegaConf
from small import compose, names, settings

from bnexp.config.schema import GROUPS
from bnexp.config.settings import Settings, check_settings, lookup, resolve, settings_of
from bnexp.errors import UserError


def test_the_defaults_are_the_interface_s():
    config = settings()
    check_settings(config)
    assert (config.decay, config.epsilon, config.eval_batch_size) == (0.9, 1e-3, 1)
    assert (config.device, config.engine) == ("auto", "compiled")
    assert config.updates == "auto"
    assert (config.restore, config.resume, config.reuse, config.verbose) == (None, False, True, False)
    assert (config.tracking.uri, config.tracking.experiment) == ("sqlite:///runs/mlflow.db", "bnexp")
    assert config.variant["_target_"] == "bnexp.variant.update_ops.BatchNorm"
    assert config.dataset["_target_"] == "bnexp.dataset.digits.load"
    assert config.network["_target_"] == "bnexp.network.mlp.mlp"
    assert config.final_pass["_target_"] == "bnexp.final_pass.none.none"


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in GROUPS for name in names(group)])
def test_every_choice_composes(group, name):
    config = compose(f"{group}={name}", "decay=0.5", "learning_rate=0.25")
    if OmegaConf.is_missing(config[group], "path"):
        config[group].path = "x.npz"
    # the chosen decay reaches the variant, and the chosen rate the optimizer
    found = resolve(config)
    check_settings(found)
    assert (found.decay, found.variant.get("decay", 0.5)) == (0.5, 0.5)
    assert found.learning_rate == found.optimizer["learning_rate"] == 0.25


def test_each_optimizer_brings_its_own_learning_rate():
    rates = {name: compose(f"optimizer={name}").learning_rate for name in names("optimizer")}
    assert len(set(rates.values())) == len(rates)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("decay=1.0", "decay must be at least 0 and less than 1, got 1.0. 0.9 suits short runs, 0.999 long ones."),
        ("decay=-0.1", "decay must be at least 0 and less than 1, got -0.1. 0.9 suits short runs, 0.999 long ones."),
        ("decay=nan", "decay must be at least 0 and less than 1, got nan. 0.9 suits short runs, 0.999 long ones."),
        (
            "variant.decay=1.5",
            "decay must be at least 0 and less than 1, got 1.5. 0.9 suits short runs, 0.999 long ones.",
        ),
        (
            "variant.epsilon=abc",
            "epsilon must be more than 0, got 'abc'. 0.001 is what contrib and tf.layers use.",
        ),
        ("epsilon=0", "epsilon must be more than 0, got 0.0. 0.001 is what contrib and tf.layers use."),
        ("epsilon=inf", "epsilon must be more than 0, got inf. 0.001 is what contrib and tf.layers use."),
        ("batch_size=0", "batch_size must be at least 1, got 0. 60 is the paper's."),
        ("steps=0", "steps must be at least 1, got 0. 1000 trains digits in a second."),
        ("learning_rate=0", "learning_rate must be more than 0, got 0.0. Leave it out for the optimizer's default."),
        ("learning_rate=nan", "learning_rate must be more than 0, got nan. Leave it out for the optimizer's default."),
        ("seed=-1", "seed must be at least 0 and less than 2**32, got -1. Any such number will do."),
        ("eval_batch_size=0", "eval_batch_size must be at least 1, got 0. 1 is what production sends."),
        ("device=tpu", "device must be auto, cpu or gpu, got 'tpu'. Auto takes a GPU if there is one."),
        ("engine=eager", "engine must be compiled or session, got 'eager'. Compiled is the fast one."),
        (
            "updates=' '",
            "updates must be auto, minimize, update_ops or the name of a collection, got ' '. "
            "Auto runs what a layer of your own has left, wherever that is.",
        ),
        ("tracking.uri=", "tracking.uri must be a tracking URI, got ''. Leave it out to keep runs in runs/mlflow.db."),
        ("tracking.experiment=' '", "tracking.experiment must be a name, got ' '. Leave it out for bnexp."),
        ("dataset=npz", "dataset.path must be given, and has no default. Write dataset.path=VALUE."),
        ("~variant", "variant must be given, and has no default. Write variant=VALUE."),
        (
            "~decay",
            "variant.decay cannot be resolved: Interpolation key 'decay' not found. Write a plain value.",
        ),
        (
            "network.widths=${nothing}",
            "network.widths cannot be resolved: Interpolation key 'nothing' not found. Write a plain value.",
        ),
    ],
)
def test_rules(override, message):
    with pytest.raises(UserError) as caught:
        check_settings(settings(override))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+batchsize=3", "batchsize=3: there is no such key. Did you mean batch_size?"),
        ("+qqq=3", "qqq=3: there is no such key. Take one of dataset, network, variant, "),
        ("+tracking.url=x", "tracking.url=x: there is no such key. Did you mean uri?"),
    ],
)
def test_no_added_key_goes_unheard(override, message):
    with pytest.raises(UserError) as caught:
        check_settings(settings(override))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "override",
    ["decay=0", "decay=0.9999999", "batch_size=1", "steps=1", "seed=0", "seed=4294967295", "updates=my_updates"],
)
def test_the_ends_of_the_ranges(override):
    check_settings(settings(override))


def test_settings_are_plain_values_and_no_reference():
    found = settings("decay=0.25", "network.widths=[5,4]")
    assert type(found.variant) is dict
    assert type(found.network["widths"]) is list
    assert found.as_dict()["variant"]["decay"] == 0.25
    assert "${" not in str(found.as_dict())


def test_they_come_back_from_their_dict():
    found = settings("variant=ema", "seed=3", "tracking.experiment=e")
    assert settings_of(found.as_dict()) == found
    assert isinstance(found, Settings)


@pytest.mark.parametrize(("key", "value"), [("decay", 0.999), ("epsilon", 0.5)])
def test_what_the_layer_is_given_is_what_the_run_says(key, value):
    """Wherever it was said; a variant's own file may also say it for good."""
    for given in (key, f"variant.{key}"):
        found = settings(f"{given}={value}")
        assert (getattr(found, key), found.variant[key]) == (value, value)
    assert getattr(settings(f"{key}={value}", f"variant.{key}={value}"), key) == value
    # a layer that takes none
    assert getattr(settings(f"{key}={value}", f"~variant.{key}"), key) == value


def test_two_numbers_for_one_layer_are_refused():
    for key, one, other in (("decay", 0.9, 0.99), ("epsilon", 0.001, 0.5)):
        with pytest.raises(UserError) as caught:
            settings(f"{key}={one}", f"++variant.{key}={other}")
        assert str(caught.value) == (
            f"{key}={one} and variant.{key}={other}: the layer takes one {key}, and these are two. "
            f"Leave variant.{key} out."
        )


@pytest.mark.parametrize("value", [3, {"decay": 0.5}])
def test_a_group_that_is_no_node_is_told(value):
    config = compose()
    config.variant = value
    with pytest.raises(UserError) as caught:
        resolve(config)
    assert str(caught.value) == f"variant must be a name of the group or keep its _target_, got {value}. See --help."


def test_lookup():
    tree = {"a": {"b": 1, "c": {"d": 0}}}
    assert [lookup(tree, key) for key in ("a.b", "a.c.d", "a.c", "x", "a.b.x", "a.x.y")] == [
        1,
        0,
        {"d": 0},
        None,
        None,
        None,
    ]
