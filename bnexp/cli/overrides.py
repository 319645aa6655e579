"""Finds unknown names, groups, keys and plugins in a command line, for which Hydra's own messages are hard to read.

It checks only what can be seen without composing a config, and leaves everything else to Hydra.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf

from bnexp.config.nearest import did_you_mean
from bnexp.config.paths import CONF_DIR, names_in
from bnexp.config.schema import GROUPS, Config, Tracking
from bnexp.errors import UserError

# launchers and sweepers that need a plugin of Hydra: by name, the extra of bnexp that installs it, and its package
EXTRAS = {
    "hydra/launcher": {
        "joblib": ("joblib", "hydra_joblib_launcher"),
        "ray": ("ray", "hydra_ray_launcher"),
        "ray_cluster": ("ray", "hydra_ray_launcher"),
        "submitit_local": ("submitit", "hydra_submitit_launcher"),
        "submitit_slurm": ("submitit", "hydra_submitit_launcher"),
    },
    "hydra/sweeper": {"optuna": ("optuna", "hydra_optuna_sweeper")},
}

# arguments with which users bring their own configs, which may have other names
OWN_CONFIGS = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "hydra.searchpath=")


def check_overrides(arguments: Sequence[str]) -> None:
    """Checks that the names and keys in a command line exist.

    Args:
        arguments: the arguments of the command: overrides, and Hydra's own flags.

    Raises:
        UserError: a group has no such name, a key does not exist, or a plugin is not installed; the message has the
            nearest name, or the extra to install.

    Example:
        >>> check_overrides(["variant=em"])
        Traceback (most recent call last):
        bnexp.errors.UserError: variant=em: there is no such variant. Did you mean ema?
    """
    own_configs = any(argument.startswith(OWN_CONFIGS) for argument in arguments)
    overrides = list(_parsed(arguments))
    choices = {o.key_or_group: _names(o) for o in overrides if o.key_or_group in _groups()}
    for override in overrides:
        key = override.key_or_group
        if key in EXTRAS:
            _check_plugin(key, _names(override))
        elif key.startswith("hydra") or override.is_delete() or own_configs:
            continue
        elif key in _groups():
            _check_names(key, choices[key])
            if isinstance(pattern := override.value(), Glob) and not pattern.filter(names_in(key)):
                raise UserError(f"{key}=glob({','.join(pattern.include)}): no {key} matches that. See --help for all.")
        else:
            _check_key(override, choices)


def _parsed(arguments: Iterable[str]) -> Iterable[Override]:
    for argument in arguments:
        if "=" in argument and not argument.startswith("-"):
            try:
                yield OverridesParser.create().parse_override(argument)
            except HydraException:
                continue  # Hydra's own message is good


def _groups() -> list[str]:
    return [folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()]


def _names(override: Override) -> list[str]:
    """Returns the names that an override gives to a group, also those of a sweep's list; none for a glob pattern."""
    value: Any = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else value if isinstance(value, list) else [value]
    return [v.text if isinstance(v, QuotedString) else v for v in values if isinstance(v, str | QuotedString)]


def _check_names(group: str, names: Iterable[str]) -> None:
    known = names_in(group)
    for name in names:
        if name not in known:
            advice = did_you_mean(name, known) or f"Take one of {', '.join(known)}."
            raise UserError(f"{group}={name}: there is no such {group}. {advice}")


def _check_plugin(group: str, names: Iterable[str]) -> None:
    known = ["basic", *EXTRAS[group]]
    for name in names:
        extra, package = EXTRAS[group].get(name, ("", ""))
        if extra and not _is_installed(package):
            raise UserError(
                f"{group}={name}: its plugin is not installed. Install bnexp with the extra {extra}: "
                f"python -m pip install -e '.[{extra}]'"
            )
        if not extra and name != "basic" and did_you_mean(name, known):
            raise UserError(f"{group}={name}: there is no such {group.partition('/')[2]}. {did_you_mean(name, known)}")


def _is_installed(package: str) -> bool:
    # where no plugin is installed at all there is no such namespace either, and to look into it raises
    return find_spec("hydra_plugins") is not None and find_spec(f"hydra_plugins.{package}") is not None


def _check_key(override: Override, choices: dict[str, list[str]]) -> None:
    key = override.key_or_group
    head, _, rest = key.partition(".")
    known = [field.name for field in fields(Config)]
    if head not in known:
        advice = did_you_mean(head, [*known, *_groups()]) or f"Take one of {', '.join(known)}."
        raise UserError(f"{key}={override.get_value_element_as_str()}: there is no such key. {advice}")
    if not rest or override.is_add() or override.is_force_add():
        return
    within = _keys_of(head, choices)
    if within and rest.partition(".")[0] not in within:
        advice = did_you_mean(rest, within) or f"Take one of {', '.join(within)}."
        said = f"{key}={override.get_value_element_as_str()}"
        raise UserError(f"{said}: {head} has no such key. {advice}")


def _keys_of(head: str, choices: dict[str, list[str]]) -> list[str]:
    """Returns the keys below a key of the config; none if they are not known without composing the config."""
    if head == "tracking":
        return [field.name for field in fields(Tracking)]
    # an optimizer's file sets keys of the whole config, and an experiment may choose the name for any group
    if head not in GROUPS or head == "optimizer" or "experiment" in choices:
        return []
    defaults = OmegaConf.load(CONF_DIR / "config.yaml").defaults
    names = choices.get(head) or [entry[head] for entry in defaults if head in entry]
    return list(dict.fromkeys(str(key) for name in names for key in OmegaConf.load(CONF_DIR / head / f"{name}.yaml")))
