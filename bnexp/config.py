"""The schema of conf/config.yaml and its rules. Imports no TensorFlow: `--cfg job` answers at once."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnexp.errors import UserError, first_line

# who composes a config finds its folder here, and with it the schema, which this module registers
from bnexp.manual import CONF_DIR as CONF_DIR

GROUPS = ("dataset", "network", "variant", "final_pass", "optimizer")


@dataclass
class Tracking:
    """Where MLflow keeps the runs."""

    uri: str = MISSING
    experiment: str = MISSING


@dataclass
class Config:
    """Schema of conf/config.yaml; every default stands there, none here.

    The groups are nodes with a `_target_`, untyped on purpose: their constructors check them, and a variant needs no
    third file.
    """

    dataset: Any = MISSING
    network: Any = MISSING
    variant: Any = MISSING
    final_pass: Any = MISSING
    optimizer: Any = MISSING
    decay: float = MISSING
    epsilon: float = MISSING
    batch_size: int = MISSING
    steps: int = MISSING
    learning_rate: float = MISSING
    seed: int = MISSING
    eval_batch_size: int = MISSING
    device: str = MISSING
    engine: str = MISSING
    restore: str | None = None
    resume: bool = MISSING
    reuse: bool = MISSING
    tracking: Tracking = field(default_factory=Tracking)


def _is(low: float, high: float = inf, *, open_below: bool = False) -> Callable[[Any], bool]:
    """Returns a test for a number from `low`, itself included or not, up to and without `high`."""
    return lambda v: isinstance(v, int | float) and (low < v if open_below else low <= v) and v < high


# what a value must be, and what to say to who gave another: by key, a test, the rule and a word of advice
_RULES: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "decay": (_is(0, 1), "at least 0 and less than 1", "0.9 suits short runs, 0.999 long ones"),
    "epsilon": (_is(0, open_below=True), "more than 0", "0.001 is what contrib and tf.layers use"),
    "batch_size": (_is(1), "at least 1", "60 is the paper's"),
    "steps": (_is(1), "at least 1", "1000 trains digits in a second"),
    "learning_rate": (_is(0, open_below=True), "more than 0", "leave it out for the optimizer's default"),
    "seed": (_is(0, 2**32), "at least 0 and less than 2**32", "any such number will do"),
    "eval_batch_size": (_is(1), "at least 1", "1 is what production sends"),
    "device": (lambda v: v in ("auto", "cpu", "gpu"), "auto, cpu or gpu", "auto takes a GPU if there is one"),
    "engine": (lambda v: v in ("compiled", "session"), "compiled or session", "compiled is the fast one"),
    "tracking.uri": (lambda v: bool(v.strip()), "a tracking URI", "leave it out to keep runs in runs/mlflow.db"),
    "tracking.experiment": (lambda v: bool(v.strip()), "a name", "leave it out for bnexp"),
}


def check(config: DictConfig) -> None:
    """Raises UserError at the first value of a config that is missing, leads nowhere or breaks its rule."""
    resolved(config)
    for node, schema, prefix in ((config, Config, ""), (config.tracking, Tracking, "tracking.")):
        # Hydra lets a + add any key, and a key that nobody reads would be a wish unheard
        known = [field.name for field in fields(schema)]
        for key in map(str, node):
            if key not in known:
                raise UserError(f"{prefix}{key}={node[key]}: there is no such key. Take one of {', '.join(known)}.")
    for group in GROUPS:
        node = config[group]
        if not (isinstance(node, DictConfig) and "_target_" in node):
            raise UserError(f"{group} must be a name of the group or keep its _target_, got {node}. See --help.")
    # a variant may be given a decay and an epsilon of its own
    own = {f"variant.{key}": _RULES[key] for key in ("decay", "epsilon") if key in config.variant}
    for key, (holds, rule, advice) in (_RULES | own).items():
        value = OmegaConf.select(config, key)
        if not holds(value):
            raise UserError(f"{key} must be {rule}, got {value!r}. {advice[0].upper()}{advice[1:]}.")


def resolved(config: DictConfig) -> dict[str, Any]:
    """Returns the config as plain dicts, lists and values, every `${...}` replaced by what it stands for.

    Raises:
        UserError: a value is missing, or a `${...}` leads nowhere.
    """
    try:
        container: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} must be given, and has no default. Write {error.full_key}=VALUE.") from error
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key} cannot be resolved: {first_line(error)}. Write a plain value.") from error
    return dict(container)


ConfigStore.instance().store(name="schema", node=Config)
