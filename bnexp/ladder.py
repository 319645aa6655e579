"""The estimator ladder: what other averages of the same training would have given.

Moving statistics never enter a right variant's training, so one training serves every estimator: its recorded batch
moments are averaged again with other decays, with biased or Bessel-corrected variances, from the initial values or
debiased, and the same weights are evaluated with each.

    hidden = decay * hidden + (1 - decay) * batch          # from 0, kept for each decay while training goes on
    plain = hidden + decay**t * initial
    zero_debiased = hidden / (1 - decay**t)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bnexp.checkpoint import under
from bnexp.evaluate import evaluate
from bnexp.model import Model, Steps
from bnexp.moments import Moments

DECAYS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999)

# test examples for each rung; on the whole set, forty rungs of a convolutional network would outlast the training
EXAMPLES = 2000


@dataclass(frozen=True)
class Rung:
    """One estimator of the moving statistics.

    Attributes:
        decay: of the average.
        ddof: 0 averages biased variances, 1 Bessel-corrected ones.
        zero_debias: whether the average is debiased; else it starts at mean 0 and variance 1.
    """

    decay: float
    ddof: int
    zero_debias: bool


class Ladder:
    """Averages a training's batch moments with every decay at once, as they come; bounded by the layers, not the steps.

    Args:
        positions: by layer, the values a channel that one example gives: 1, or height times width.
        batch_size: examples a training step; with `positions`, what Bessel's correction divides by.
    """

    def __init__(self, positions: Mapping[str, int], batch_size: int) -> None:
        self._values = {layer: count * batch_size for layer, count in positions.items()}
        self._steps = 0
        self._hidden: dict[str, np.ndarray] = {}

    def add(self, steps: Steps) -> None:
        """Averages what some training steps recorded, in order."""
        count = len(steps.losses)
        decays = np.array(DECAYS)[:, None]
        # the weight of each of these steps at their end: (1 - decay) * decay**(steps after it)
        weights = (1 - decays) * decays ** np.arange(count - 1, -1, -1)
        for layer in self._values:
            for statistic in ("mean", "variance"):
                name = f"{layer}/{statistic}"
                recorded = steps.statistics[f"{layer}/batch_{statistic}"].astype(np.float64)
                before = self._hidden.get(name, np.zeros([len(DECAYS), recorded.shape[1]]))
                self._hidden[name] = decays**count * before + weights @ recorded
        self._steps += count

    def state(self) -> dict[str, np.ndarray]:
        """Returns the averages so far, as arrays."""
        return {"steps": np.array(self._steps)} | {f"hidden/{name}": array for name, array in self._hidden.items()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Takes over the averages of another ladder of the same run: its `state`."""
        self._steps, self._hidden = int(state["steps"]), under("hidden/", state)

    def statistics(self, rung: Rung) -> dict[str, Moments]:
        """Returns each layer's moving statistics as this estimator would have them now, [channels] float64."""
        index = DECAYS.index(rung.decay)
        left = rung.decay**self._steps

        def moved(hidden: np.ndarray, initial: float) -> np.ndarray:
            return hidden / (1 - left) if rung.zero_debias else hidden + left * initial

        result = {}
        for layer, values in self._values.items():
            bessel = values / max(values - 1, 1) if rung.ddof else 1.0
            mean, variance = (self._hidden[f"{layer}/{statistic}"][index] for statistic in ("mean", "variance"))
            result[layer] = Moments(moved(mean, 0.0), moved(variance * bessel, 1.0))
        return result


def climb(
    ladder: Ladder,
    model: Model,
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    decays: Sequence[float] = DECAYS,
) -> pd.DataFrame:
    """Evaluates the network with every rung's statistics, and leaves it as it was.

    Args:
        ladder: what training recorded.
        model: the trained network.
        inputs: [examples, ...] float32, the test set; the first EXAMPLES are used.
        labels: [examples] int32.
        batch_size: of the evaluation: 1, or a large one where the two were found to say the same.
        decays: those of DECAYS to evaluate.

    Returns:
        A row a rung: `decay`, `ddof`, `zero_debias`, `accuracy`.
    """
    rungs = [Rung(decay, ddof, debias) for decay in decays for ddof in (0, 1) for debias in (False, True)]
    rows = []
    inputs, labels = inputs[:EXAMPLES], labels[:EXAMPLES]  # once: engines keep a copy of each array on the device
    with model.untouched():
        for rung in rungs:
            model.assign_moving_statistics(ladder.statistics(rung))
            evaluation = evaluate(model, inputs, labels, batch_size=batch_size)
            rows.append(
                {
                    "decay": rung.decay,
                    "ddof": rung.ddof,
                    "zero_debias": rung.zero_debias,
                    "accuracy": evaluation.accuracy,
                }
            )
    return pd.DataFrame(rows)


def best_decay(rungs: pd.DataFrame) -> tuple[float, float]:
    """Returns the decay whose plain, biased average gives the best accuracy, and that accuracy.

    Of several as good, the slowest that is still among them: it averages most batches.
    """
    plain = rungs[(rungs["ddof"] == 0) & ~rungs["zero_debias"]]
    best = plain[plain["accuracy"] == plain["accuracy"].max()]["decay"].max()
    return float(best), float(plain["accuracy"].max())
