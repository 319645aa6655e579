"""Finds the variables that a custom layer's inference takes for mean and variance, by their use or by their names.

Moving the inputs and the mean by the same amount leaves the outputs as they are. Of the others, the variance is the one
whose growth draws the outputs together around the mean. No name can mislead this; names are asked where inference reads
no statistics.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

# usual names of the statistics, the likeliest first
MEANS = ("moving_mean", "running_mean", "pop_mean", "mean", "mu")
VARIANCES = ("moving_variance", "moving_var", "running_var", "pop_var", "var", "sigma", "std")

# how far the inputs and the supposed mean are moved
_STEP = 0.5

# outputs may differ by this fraction and still count as equal
_TOLERANCE = 1e-3

# called with inputs and with the value [channels] of each variable; returns the outputs
Infer = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]


def by_use(infer: Infer, count: int, shape: Sequence[int]) -> tuple[int | None, int | None]:
    """Finds mean and variance by what inference does with them.

    Args:
        infer: runs inference with variables of [channels] set.
        count: the number of these variables.
        shape: the shape of the inputs to try, [batch, ..., channels].

    Returns:
        Which of the variables is the mean and which the variance; None for each that is not found.
    """
    rng = np.random.default_rng(2018)
    base = [rng.uniform(0.6, 1.4, shape[-1]) for _ in range(count)]
    inputs = rng.normal(1.0, 1.0, shape)

    def outputs(x: np.ndarray, changed: int = -1, value: np.ndarray | None = None) -> np.ndarray:
        values = [value if i == changed and value is not None else base[i] for i in range(count)]
        return np.asarray(infer(np.asarray(x, np.float32), values), np.float64)

    before, moved = outputs(inputs), outputs(inputs + _STEP)
    if not np.all(np.isfinite(before)) or not np.any(_differ(before, moved)):
        return None, None
    for mean in range(count):
        both, alone = (outputs(x, mean, base[mean] + _STEP) for x in (inputs + _STEP, inputs))
        if _cancels(before, moved, both, alone):
            break
    else:
        return None, None
    at_mean = np.broadcast_to(base[mean], shape)
    spread = np.abs(before - outputs(at_mean))
    seen = spread > _TOLERANCE
    shrinks: dict[int, float] = {}
    for other in set(range(count)) - {mean} if np.any(seen) else ():
        grown = 4 * base[other]
        wider = np.abs(outputs(inputs, other, grown) - outputs(at_mean, other, grown))
        shrinks[other] = float(np.median(wider[seen] / spread[seen]))
    variance = min(shrinks, key=lambda i: shrinks[i], default=-1)
    return mean, variance if variance >= 0 and shrinks[variance] < 0.9 else None


def by_name(words: Sequence[str], variables: Sequence[tf.Variable]) -> int | None:
    """Finds the first variable whose name ends in one of `words`, or else has one in its last part.

    Args:
        words: parts of names; earlier words are preferred to later ones.
        variables: the variables to choose from.

    Returns:
        The variable's position; None if no name fits.
    """
    last = [v.name.removesuffix("/ExponentialMovingAverage:0").rsplit("/", 1)[-1].split(":")[0] for v in variables]
    exact = (i for word in words for i, name in enumerate(last) if name == word)
    return next(exact, next((i for word in words for i, name in enumerate(last) if word in name), None))


def _cancels(before: np.ndarray, moved: np.ndarray, both: np.ndarray, alone: np.ndarray) -> bool:
    """Tells whether a step of a variable undoes a step of the inputs, all of it or everywhere the same part.

    Args:
        before: the outputs before either step.
        moved: the outputs after the inputs' step.
        both: the outputs after both steps.
        alone: the outputs after the variable's step.
    """
    if not np.any(_differ(before, both)):
        return True
    # a mean that is divided when it is read undoes a multiple
    through = moved - before
    seen = np.abs(through) > _TOLERANCE
    undone = (before - alone)[seen] / through[seen]
    return bool(undone.size and np.all(undone > 0.05) and np.ptp(undone) < 0.01 * np.median(undone))


def _differ(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(one - other) > _TOLERANCE * (1 + np.abs(one)))
