"""The identity of a run: its name, title and params, and the key that all attempts at it share."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bnexp.config.renamed import renamed_variant
from bnexp.config.schema import GROUPS
from bnexp.config.settings import Settings
from bnexp.names import JOB_TAG, telling_overrides
from bnexp.tracking.uri import without_password

# settings that do not affect a run's results: where it is tracked, how it is started and what it prints
_BOOKKEEPING = ("tracking", "resume", "reuse", "verbose")


@dataclass(frozen=True)
class Identity:
    """What identifies a run.

    Attributes:
        name: the run's name in MLflow: its overrides, or the name of its variant if there are none.
        title: the names chosen for the config groups and the decay, in one line.
        choices: the name chosen for each config group, by group.
        params: the run's params in MLflow: the settings by dotted key, and the choices.
        key: a hash that all attempts at the run share, wherever they are tracked, and no other runs.
        decay: the setting `decay`, in [0, 1).
    """

    name: str
    title: str
    choices: Mapping[str, str]
    params: Mapping[str, Any]
    key: str
    decay: float

    @property
    def tags(self) -> dict[str, str]:
        """Returns the tag by which all attempts at the run are found."""
        return {JOB_TAG: self.key}


def identify(settings: Settings, choices: Mapping[str, str], overrides: Sequence[str] = ()) -> Identity:
    """Makes a run's identity.

    Args:
        settings: the settings of the run.
        choices: the name chosen for each config group, by group.
        overrides: the overrides of the command line, which become the run's name.

    Example:
        >>> identify(settings, choices, ["variant=ema", "decay=0.99"]).title
        'digits, mlp, ema, none, adam, decay 0.99'
    """
    choices = chosen(settings, choices)
    name = " ".join(telling_overrides(overrides))
    wanted = {key: value for key, value in settings.as_dict().items() if key not in _BOOKKEEPING}
    return Identity(
        name=name or choices["variant"],
        title=", ".join(choices[group] for group in GROUPS) + f", decay {settings.decay:g}",
        choices=choices,
        params=flatten(public(settings)) | choices,
        key=sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:32],
        decay=settings.decay,
    )


def chosen(settings: Settings, choices: Mapping[str, str]) -> dict[str, str]:
    """Returns the name chosen for each config group, by group; of a user's own `_target_` its full name.

    Args:
        settings: the settings of the run.
        choices: the name of the YAML file chosen for each config group, by group.

    Example:
        >>> chosen(settings, choices)["variant"]
        'update_ops'
    """
    names = {group: choices[group] for group in GROUPS}
    names["variant"] = renamed_variant(names["variant"])
    for group in ("variant", "network", "final_pass"):
        target = str(getattr(settings, group)["_target_"])
        if not target.startswith((f"bnexp.{group}.{names[group]}.", f"bnexp.{group}.{choices[group]}.")):
            names[group] = target
    return names


def public(settings: Settings) -> dict[str, Any]:
    """Returns the settings as nested dicts, without a password in the tracking URI.

    Args:
        settings: the settings of the run.

    Example:
        >>> public(settings)["tracking"]["experiment"]
        'bnexp'
    """
    tree = settings.as_dict()
    tree["tracking"]["uri"] = without_password(tree["tracking"]["uri"])
    return tree


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested dicts as one dict with dotted keys; lists become JSON.

    Args:
        tree: nested dicts.
        prefix: put before every key, with its dot.

    Example:
        >>> flatten({"network": {"widths": [16, 8]}})
        {'network.widths': '[16, 8]'}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list) else value
    return flat
