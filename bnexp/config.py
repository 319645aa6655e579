"""The schema of conf/config.yaml and its rules. Imports no TensorFlow: `--help` answers at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from bnexp.errors import UserError

_HERE = Path(__file__).resolve().parent
# a wheel carries the configs inside the package; a checkout has them beside it
CONF_DIR = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parent / "conf"

GROUPS = ("dataset", "network", "variant", "final_pass", "optimizer")


@dataclass
class Tracking:
    """Where MLflow keeps the runs."""

    uri: str = MISSING
    experiment: str = MISSING


@dataclass
class Config:
    """Schema of conf/config.yaml; every default stands there, none here.

    The groups are nodes with a `_target_`, untyped on purpose: their constructors check them, and a variant needs no third
    file.
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

    def __post_init__(self) -> None:
        """Checks every value that has a rule of its own."""
        check(self)


def check(config: Any) -> None:
    """Raises UserError at the first value of a config that breaks its rule."""
    rules = (
        ("decay", 0.0 <= config.decay < 1.0, "at least 0 and less than 1", "0.9 suits short runs, 0.999 needs thousands of steps"),
        ("epsilon", 0.0 < config.epsilon < float("inf"), "more than 0", "0.001 is what contrib and tf.layers use"),
        ("batch_size", config.batch_size >= 1, "at least 1", "60 is the paper's"),
        ("steps", config.steps >= 1, "at least 1", "1000 trains digits in a second"),
        ("learning_rate", 0.0 < config.learning_rate < float("inf"), "more than 0", "leave it out for the optimizer's default"),
        ("seed", config.seed >= 0, "at least 0", "any whole number will do"),
        ("eval_batch_size", config.eval_batch_size >= 1, "at least 1", "1 is what production sends"),
        ("device", config.device in ("auto", "cpu", "gpu"), "auto, cpu or gpu", "auto takes a GPU if there is one"),
        ("engine", config.engine in ("compiled", "session"), "compiled or session", "compiled is the fast one"),
    )
    for name, holds, rule, advice in rules:
        if not holds:
            raise UserError(f"{name} must be {rule}, got {getattr(config, name)}. {advice[0].upper()}{advice[1:]}.")


ConfigStore.instance().store(name="schema", node=Config)
