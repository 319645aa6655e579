"""The moving statistics that other estimators would have given in the same training.

The training of a right variant never reads its moving statistics, so that one training serves every estimator: its
batch moments are averaged with other decays, with biased or Bessel-corrected variances, and from the initial values or
debiased.

    hidden = decay * hidden + (1 - decay) * batch          # from 0, for each decay, while training goes on
    plain = hidden + decay**t * initial
    zero_debiased = hidden / (1 - decay**t)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bnexp.engine.model import Steps
from bnexp.statistics.moments import Moments
from bnexp.storage.arrays import under

DECAYS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999)


@dataclass(frozen=True)
class Estimator:
    """One estimator of the moving statistics.

    Attributes:
        decay: the weight of the old average, one of DECAYS.
        ddof: 0 averages biased batch variances, 1 Bessel-corrected ones.
        zero_debias: whether the average starts at 0 and is divided by 1 - decay**t; otherwise the mean starts at 0 and
            the variance at 1.
    """

    decay: float
    ddof: int
    zero_debias: bool


class AveragesByDecay:
    """Averages a training's batch moments with every decay of DECAYS at once, while training goes on.

    It takes memory for each layer and decay, but not for each step.

    Args:
        positions: by layer, the number of values that one example has in one channel: 1, or height times width.
        batch_size: the number of examples in a training batch, which Bessel's correction needs together with
            `positions`.

    Example:
        >>> averages = AveragesByDecay(model.positions, batch_size=60)
        >>> averages.add(snapshot.steps)
        >>> averages.statistics(Estimator(decay=0.99, ddof=0, zero_debias=False))["bn1"].mean.shape
        (100,)
    """

    def __init__(self, positions: Mapping[str, int], batch_size: int) -> None:
        self._values = {layer: count * batch_size for layer, count in positions.items()}
        self._steps = 0
        self._hidden: dict[str, Moments] = {}  # [decays, channels] float64

    def add(self, steps: Steps) -> None:
        """Adds the batch moments of the next training steps.

        Args:
            steps: what these steps recorded.
        """
        count = len(steps.losses)
        decays = np.array(DECAYS)[:, None]
        # each step's weight in the average after the last of them: (1 - decay) * decay**(steps after it)
        weights = (1 - decays) * decays ** np.arange(count - 1, -1, -1)

        def averaged(recorded: np.ndarray, before: np.ndarray | float) -> np.ndarray:
            return np.asarray(decays**count * before + weights @ recorded.astype(np.float64))

        for layer in self._values:
            batch, before = steps.layers[layer].batch, self._hidden.get(layer)
            self._hidden[layer] = Moments(
                averaged(batch.mean, before.mean if before else 0.0),
                averaged(batch.variance, before.variance if before else 0.0),
            )
        self._steps += count

    def state(self) -> dict[str, np.ndarray]:
        """Returns the averages so far as arrays by name, from which `restore` continues."""
        arrays = {"steps": np.array(self._steps)}
        for layer, hidden in self._hidden.items():
            arrays |= {f"mean/{layer}": hidden.mean, f"variance/{layer}": hidden.variance}
        return arrays

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continues from the `state` that an earlier process saved in the same training."""
        self._steps, means, variances = int(state["steps"]), under("mean/", state), under("variance/", state)
        self._hidden = {layer: Moments(mean, variances[layer]) for layer, mean in means.items()}

    def statistics(self, estimator: Estimator) -> dict[str, Moments]:
        """Returns the moving statistics that an estimator would have now, [channels] float64, by layer.

        Args:
            estimator: the estimator; its decay must be one of DECAYS.
        """
        index = DECAYS.index(estimator.decay)
        left = estimator.decay**self._steps

        def moved(hidden: np.ndarray, initial: float) -> np.ndarray:
            return hidden / (1 - left) if estimator.zero_debias else hidden + left * initial

        result = {}
        for layer, values in self._values.items():
            bessel = values / max(values - 1, 1) if estimator.ddof else 1.0
            hidden = self._hidden[layer]
            result[layer] = Moments(moved(hidden.mean[index], 0.0), moved(hidden.variance[index] * bessel, 1.0))
        return result
