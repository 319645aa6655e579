"""bnexp by the functions that a run calls: everything recorded, snapshots and all."""

from collections.abc import Mapping
from typing import Any

import hydra
import numpy as np
from hydra.utils import instantiate

from bnexp.config.paths import CONF_DIR
from bnexp.dataset import Dataset
from bnexp.engine.build import build_model
from bnexp.evaluation.evaluate import evaluate
from bnexp.training.loop import train
from bnexp.training.trajectory import Recorder

from ..problem import CLASSES, Problem
from . import PASSES


def compose(*overrides: str) -> Any:
    with hydra.initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return hydra.compose("config", list(overrides))


class Contender:
    """A model as `run.py` builds it.

    Attributes:
        seconds_of_steps: of the last training, the time its steps took; the rest went into snapshots.
    """

    block = 1

    def __init__(self, problem: Problem, variant: str = "update_ops") -> None:
        data = problem.data
        self.problem = problem
        self.dataset = Dataset(data.x_train, data.y_train, data.x_test, data.y_test, CLASSES)
        self.config = compose(
            f"network={problem.network}",
            f"variant={variant}",
            "optimizer=sgd",
            f"learning_rate={problem.learning_rate}",
            f"batch_size={problem.batch_size}",
            f"decay={problem.decay}",
            f"epsilon={problem.epsilon}",
            f"seed={problem.seed}",
        )
        self.model = build_model(self.config, self.dataset, "/CPU:0")
        self.final_passes = {kind: instantiate(compose(f"final_pass={kind}").final_pass) for kind in PASSES}
        self.seconds_of_steps = 0.0

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self.model.assign(state)

    def state(self) -> dict[str, np.ndarray]:
        return self.model.state()

    def train(self, steps: int) -> np.ndarray:
        recorder, self.seconds_of_steps = Recorder(steps), 0.0
        losses = []
        for snapshot in train(
            self.model, self.dataset, batch_size=self.problem.batch_size, steps=steps, seed=self.problem.seed
        ):
            recorder.add(snapshot)
            losses.append(snapshot.steps.losses)
            self.seconds_of_steps += snapshot.seconds
        recorder.trajectories()
        return np.concatenate(losses)

    def predict(self, count: int) -> np.ndarray:
        with self.model.untouched():
            return self.model.predict(self.dataset.x_test[:count], batch_size=1)

    def evaluate(self, count: int) -> float:
        """The evaluation as a run does it, with its look at what moved; returns the accuracy."""
        x, y = self.dataset.x_test, self.dataset.y_test
        if count < len(x):
            x, y = x[:count], y[:count]
        return evaluate(self.model, x, y, batch_size=1).accuracy

    def final_pass(self, kind: str, count: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        found = self.final_passes[kind](
            self.model, self.dataset.x_train[:count], batch_size=self.problem.batch_size, seed=self.problem.seed
        )
        return {layer: (moments.mean, moments.variance) for layer, moments in found.items()}
