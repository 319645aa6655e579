"""The schema of conf/config.yaml, against which Hydra checks every config."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

GROUPS = ("dataset", "network", "variant", "final_pass", "optimizer")


@dataclass
class Tracking:
    """Where MLflow keeps the runs.

    Attributes:
        uri: any MLflow tracking URI, such as `"sqlite:///runs/mlflow.db"`.
        experiment: the name of the MLflow experiment; it is created if it does not exist.
    """

    uri: str = MISSING
    experiment: str = MISSING


@dataclass
class Config:
    """The schema of conf/config.yaml, which has all the defaults; `bnexp.config.settings.Settings` explains the keys.

    The groups are nodes with a `_target_`. They are untyped on purpose: the targets check their arguments themselves,
    and a new variant needs no entry here.
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
    updates: str = MISSING
    restore: str | None = None
    resume: bool = MISSING
    reuse: bool = MISSING
    verbose: bool = MISSING
    tracking: Tracking = field(default_factory=Tracking)


ConfigStore.instance().store(name="schema", node=Config)
