"""The schema, its defaults, and what it says of values that break a rule."""

import subprocess
import sys

import pytest
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import OmegaConf
from small import compose, names

from bnexp.config import GROUPS, check, resolved
from bnexp.errors import UserError
from bnexp.manual import CONF_DIR


def test_the_defaults_are_the_interface_s():
    config = compose()
    check(config)
    assert (config.decay, config.epsilon, config.eval_batch_size) == (0.9, 1e-3, 1)
    assert (config.device, config.engine) == ("auto", "compiled")
    assert (config.restore, config.resume, config.reuse) == (None, False, True)
    assert (config.tracking.uri, config.tracking.experiment) == ("sqlite:///runs/mlflow.db", "bnexp")
    assert config.variant._target_ == "bnexp.variant.update_ops.BatchNorm"
    assert config.dataset._target_ == "bnexp.dataset.digits.load"
    assert config.network._target_ == "bnexp.network.mlp.mlp"
    assert config.final_pass._target_ == "bnexp.final_pass.none.none"


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in GROUPS for name in names(group)])
def test_every_choice_composes(group, name):
    config = compose(f"{group}={name}")
    if OmegaConf.is_missing(config[group], "path"):
        config[group].path = "x.npz"
    check(config)
    # the chosen decay reaches the variant, and the chosen rate the optimizer
    config = compose(f"{group}={name}", "decay=0.5", "learning_rate=0.25")
    assert config.variant.get("decay", 0.5) == 0.5
    assert config.optimizer.learning_rate == 0.25


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
            "variant.decay must be at least 0 and less than 1, got 1.5. 0.9 suits short runs, 0.999 long ones.",
        ),
        (
            "variant.epsilon=abc",
            "variant.epsilon must be more than 0, got 'abc'. 0.001 is what contrib and tf.layers use.",
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
        check(compose(override))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+batchsize=3", "batchsize=3: there is no such key. Take one of dataset, network, variant, "),
        ("+tracking.url=x", "tracking.url=x: there is no such key. Take one of uri, experiment."),
    ],
)
def test_no_added_key_goes_unheard(override, message):
    with pytest.raises(UserError) as caught:
        check(compose(override))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "override", ["decay=0", "decay=0.9999999", "batch_size=1", "steps=1", "seed=0", "seed=4294967295"]
)
def test_the_ends_of_the_ranges(override):
    check(compose(override))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("decay=abc", "Value 'abc' of type 'str' could not be converted to Float"),
        ("steps=1.5", "Value '1.5' of type 'float' could not be converted to Integer"),
        ("steps=null", "field 'steps' is not Optional"),
        ("resume=perhaps", "Value 'perhaps' is not a valid bool"),
        ("varient=ema", "Key 'varient' not in 'Config'"),
        ("variant.decy=0.9", "Key 'decy' is not in struct"),
        ("~nothing", "Could not delete from config"),
    ],
)
def test_types_and_keys_are_hydra_s_affair(override, words):
    with pytest.raises(ConfigCompositionException) as caught:
        compose(override)
    assert words in f"{caught.value} {caught.value.__cause__}"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(MissingConfigException) as caught:
        compose("variant=nope")
    for name in names("variant"):
        assert f"\t{name}\n" in str(caught.value)


def test_resolved_leaves_no_reference():
    assert resolved(compose("decay=0.25"))["variant"]["decay"] == 0.25


def test_every_key_is_explained_in_the_file():
    """conf/config.yaml is the manual: a comment for each value that is not a group."""
    lines = (CONF_DIR / "config.yaml").read_text().splitlines()
    for key in compose():
        if key not in (*GROUPS, "learning_rate", "tracking"):
            (line,) = (line for line in lines if line.startswith(f"{key}:"))
            assert "#" in line, line


def test_help_and_cfg_import_neither_tensorflow_nor_mlflow():
    """Three of them in one process: each would take seconds otherwise."""
    program = """
import sys
from bnexp.__main__ import main
for arguments in (["--help"], ["--cfg", "job", "variant=ema"], ["--info", "defaults"]):
    sys.argv = ["bnexp", *arguments]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
print("imported:", *sorted({"tensorflow", "mlflow", "keras", "sklearn", "matplotlib", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported:"
    assert "  variant " in done.stdout
    assert "_target_: bnexp.variant.ema.BatchNorm" in done.stdout
