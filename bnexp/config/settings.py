"""The settings of a run as plain values: made from the Hydra config once, and passed on in its place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any

from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnexp.config.nearest import did_you_mean
from bnexp.config.schema import GROUPS, Tracking
from bnexp.errors import UserError, first_line

Node = Mapping[str, Any]

# keys of the layer that are also keys of the run: `decay` and `variant.decay` are one number, whichever is given
OF_THE_LAYER = ("decay", "epsilon")


@dataclass(frozen=True)
class Settings:
    """A composed config without Hydra: every `${...}` is resolved.

    Attributes:
        dataset: the node of the dataset: `_target_`, the full name of a function, and the function's arguments.
        network: the node of the network, of the same form.
        variant: the node of the variant, of the same form; with `decay` and `epsilon` if the layer takes them.
        final_pass: the node of the final pass, of the same form.
        optimizer: the node of the optimizer, of the same form.
        decay: the weight in [0, 1) that a layer's old average keeps: `moving = decay * moving + (1 - decay) * batch`.
        epsilon: more than 0; the layers add it to a variance before its square root is taken.
        batch_size: the number of examples in a training batch.
        steps: the number of training steps.
        learning_rate: the step size of the optimizer.
        seed: an integer in [0, 2**32) that decides the initial weights and the order of the examples.
        eval_batch_size: the number of test examples in an evaluation batch; 1 evaluates them one by one.
        device: the device to use: `"auto"` (a GPU if there is one), `"cpu"` or `"gpu"`.
        engine: how the graph is run: `"compiled"` (fast) or `"session"` (one Session.run per step, the reference).
        updates: what the train op runs besides the step, for a layer of one's own: `"auto"` (whatever updates it has
            left), `"minimize"` (nothing), `"update_ops"`, or the name of a collection. A variant brings its own.
        restore: the id of a finished run whose weights are used instead of training; None trains.
        resume: whether an interrupted run of the same settings is continued.
        reuse: whether the jobs of a sweep share a training where their settings allow it.
        verbose: whether a sweep prints the full report of each job, not only a line.
        tracking: the MLflow store and experiment that the run is tracked in.
    """

    dataset: Node
    network: Node
    variant: Node
    final_pass: Node
    optimizer: Node
    decay: float
    epsilon: float
    batch_size: int
    steps: int
    learning_rate: float
    seed: int
    eval_batch_size: int
    device: str
    engine: str
    updates: str
    restore: str | None
    resume: bool
    reuse: bool
    verbose: bool
    tracking: Tracking

    def as_dict(self) -> dict[str, Any]:
        """Returns the settings as nested dicts, lists and values, as config.yaml and the run's params hold them."""
        return asdict(self)


def settings_of(tree: Mapping[str, Any]) -> Settings:
    """Makes settings from nested dicts; the inverse of `Settings.as_dict`.

    Args:
        tree: the values by key, one for each attribute of `Settings`; `tracking` is a dict itself.

    Raises:
        UserError: a key does not exist; the message has the nearest one.

    Example:
        >>> settings_of(settings.as_dict()) == settings
        True
    """
    known = [field.name for field in fields(Settings)]
    for names, node, prefix in ((known, tree, ""), ([f.name for f in fields(Tracking)], tree["tracking"], "tracking.")):
        # Hydra adds any key that is written with a +, and one that nothing reads would have no effect
        for key in map(str, node):
            if key not in names:
                advice = did_you_mean(key, names) or f"Take one of {', '.join(names)}."
                raise UserError(f"{prefix}{key}={node[key]}: there is no such key. {advice}")
    return Settings(**{**tree, "tracking": Tracking(**tree["tracking"])})


def resolve(config: DictConfig, overrides: Sequence[str] = ()) -> Settings:
    """Makes settings from a composed config; `check_settings` then checks the values.

    `decay` and `epsilon` are the numbers that the layer gets, whether they are given as `decay=0.99` or as
    `variant.decay=0.99`.

    Args:
        config: the config that Hydra composed from conf/config.yaml.
        overrides: the overrides of the command line, by which it is seen whether both forms were given.

    Raises:
        UserError: a value is missing, a `${...}` cannot be resolved, a key does not exist, or two keys contradict each
            other.

    Example:
        >>> resolve(hydra.compose("config", ["variant.decay=0.99"])).decay
        0.99
    """
    try:
        tree: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} must be given, and has no default. Write {error.full_key}=VALUE.") from error
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key} cannot be resolved: {first_line(error)}. Write a plain value.") from error
    for group in GROUPS:
        if not (isinstance(tree[group], dict) and "_target_" in tree[group]):
            raise UserError(f"{group} must be a name of the group or keep its _target_, got {tree[group]}. See --help.")
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    for key in OF_THE_LAYER:
        own = tree["variant"].get(key, tree[key])
        if own != tree[key] and {key, f"variant.{key}"} <= given:
            raise UserError(
                f"{key}={tree[key]} and variant.{key}={own}: the layer takes one {key}, and these are two. "
                f"Leave variant.{key} out."
            )
        tree[key] = own
    return settings_of(tree)


def _is(low: float, high: float = inf, *, open_below: bool = False) -> Callable[[Any], bool]:
    """Returns a function that tells whether a value is a number in [low, high), or in (low, high) if `open_below`."""
    return lambda v: isinstance(v, int | float) and (low < v if open_below else low <= v) and v < high


# by key: the test that a value must pass, the rule in words, and the advice for a value that breaks it
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
    "updates": (
        lambda v: bool(v.strip()),
        "auto, minimize, update_ops or the name of a collection",
        "auto runs what a layer of your own has left, wherever that is",
    ),
    "tracking.uri": (lambda v: bool(v.strip()), "a tracking URI", "leave it out to keep runs in runs/mlflow.db"),
    "tracking.experiment": (lambda v: bool(v.strip()), "a name", "leave it out for bnexp"),
}


def check_settings(settings: Settings) -> None:
    """Checks every value against its rule.

    Args:
        settings: the settings of a run.

    Raises:
        UserError: a value breaks its rule; the message names the key, the rule, the value and a cure.

    Example:
        >>> check_settings(replace(settings, batch_size=0))
        Traceback (most recent call last):
        bnexp.errors.UserError: batch_size must be at least 1, got 0. 60 is the paper's.
    """
    tree = settings.as_dict()
    for key, (holds, rule, advice) in _RULES.items():
        value = lookup(tree, key)
        if not holds(value):
            raise UserError(f"{key} must be {rule}, got {value!r}. {advice[0].upper()}{advice[1:]}.")


def lookup(tree: Mapping[str, Any], key: str) -> Any:
    """Returns the value under a dotted key; None if there is none.

    Args:
        tree: nested dicts, as `Settings.as_dict` returns them.
        key: the keys of the nested dicts, joined by dots.

    Example:
        >>> lookup({"tracking": {"experiment": "bnexp"}}, "tracking.experiment")
        'bnexp'
    """
    node: Any = tree
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node
