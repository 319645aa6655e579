"""What can be told of a command line without composing a config: names that there are not, and plugins."""

import pytest

from bnexp.cli import overrides
from bnexp.cli.overrides import EXTRAS, check_overrides
from bnexp.config.paths import names_in
from bnexp.errors import UserError


def told(*arguments):
    with pytest.raises(UserError) as caught:
        check_overrides(arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("variant=em", "variant=em: there is no such variant. Did you mean ema?"),
        ("variant=ema,zero_debiased", "variant=zero_debiased: there is no such variant. Did you mean zero_debias?"),
        ("variant=choice('updateops', ema)", "variant=updateops: there is no such variant. Did you mean update_ops?"),
        ("optimizer=qqq", "optimizer=qqq: there is no such optimizer. Take one of adam, momentum, sgd."),
        ("experiment=udacit", "experiment=udacit: there is no such experiment. Did you mean udacity?"),
        ("variant=glob(qqq*)", "variant=glob(qqq*): no variant matches that. See --help for all."),
        ("varient=ema", "varient=ema: there is no such key. Did you mean variant?"),
        ("batchsize=3", "batchsize=3: there is no such key. Did you mean batch_size?"),
        ("++batchsize=3", "batchsize=3: there is no such key. Did you mean batch_size?"),
        ("tracking.url=x", "tracking.url=x: tracking has no such key. Did you mean uri?"),
        ("network.width=[3]", "network.width=[3]: network has no such key. Did you mean widths?"),
    ],
)
def test_what_there_is_not(argument, message):
    assert told("decay=0.9", argument) == message


def test_an_unknown_key_lists_the_known_ones():
    message = told("qqq=1")
    assert message.startswith("qqq=1: there is no such key. Take one of dataset, network, variant, final_pass, ")
    assert "tracking" in message


def test_a_key_is_looked_for_in_the_group_s_chosen_file():
    check_overrides(["variant=group_norm", "variant.groups=2"])
    check_overrides(["variant=ema,group_norm", "variant.groups=2"])
    assert told("variant=ema", "variant.groups=2").startswith("variant.groups=2: variant has no such key.")
    # where an experiment may choose the group, Hydra is left to say so
    check_overrides(["experiment=udacity", "variant.groups=2"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["-m", "variant=glob(*)", "decay=0.9,0.99", "seed=range(3)"],
        ["experiment=null", "restore=null"],
        ["~variant.decay", "+variant.own=3", "++network.depth=3"],
        ["optimizer=sgd", "optimizer.momentum=0.5", "learning_rate=0.1"],
        ["hydra.run.dir=x", "hydra/launcher=basic", "hydra/job_logging=none"],
        ["--config-dir", "mine", "variant=mine", "mine=3"],
        ["decay"],
        ["decay=["],
    ],
)
def test_the_rest_is_right_or_hydra_s_affair(arguments):
    check_overrides(arguments)


@pytest.mark.parametrize("group", ["dataset", "network", "variant", "final_pass", "optimizer", "experiment"])
def test_every_name_is_known(group):
    for name in names_in(group):
        check_overrides([f"{group}={name}"])


def none_installed(wanted):
    """As importlib does where there is no package hydra_plugins at all."""
    if "." in wanted:
        raise ModuleNotFoundError("No module named 'hydra_plugins'")


def only_others_installed(wanted):
    return None if "." in wanted else wanted


@pytest.mark.parametrize("find_spec", [none_installed, only_others_installed])
@pytest.mark.parametrize("group", EXTRAS)
def test_a_plugin_that_is_not_installed_is_named_with_its_extra(group, find_spec, monkeypatch):
    monkeypatch.setattr(overrides, "find_spec", find_spec)
    for name, (extra, _) in EXTRAS[group].items():
        assert told(f"{group}={name}") == (
            f"{group}={name}: its plugin is not installed. Install bnexp with the extra {extra}: "
            f"python -m pip install -e '.[{extra}]'"
        )
    check_overrides([f"{group}=basic"])


def test_a_plugin_that_is_misspelt_is_told():
    assert told("hydra/launcher=jobli") == "hydra/launcher=jobli: there is no such launcher. Did you mean joblib?"
    # one of the user's own
    check_overrides(["hydra/launcher=qqq"])
