"""The moments of a final pass in float64 and plain NumPy, to hold everybody's against."""

from collections.abc import Mapping

import numpy as np

from bnexp.final_pass import shuffled
from bnexp.statistics.moments import BatchMoments, mean_within, pooled

from .problem import Problem


def exact(
    problem: Problem, state: Mapping[str, np.ndarray], kind: str, count: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns mean and variance [channels] float64 of each layer's input, every layer in batch mode.

    The average of batches is the definition of `kind`, as bnexp.moments writes it; the network is written out here.
    """
    order = shuffled(problem.data.x_train[:count], problem.seed)
    batches = [order[i : i + problem.batch_size] for i in range(0, count, problem.batch_size)]
    recorded = [_moments(problem, state, problem.data.x_train[rows].astype(np.float64)) for rows in batches]
    found = {}
    for layer in problem.layers:
        counts, means, variances = (
            np.array(column) for column in zip(*(batch[layer] for batch in recorded), strict=True)
        )
        moments = {"precise_bn": pooled, "paper": mean_within}[kind](BatchMoments(counts, means, variances))
        found[layer] = moments.mean, moments.variance
    return found


def _moments(problem: Problem, state: Mapping[str, np.ndarray], hidden: np.ndarray) -> dict[str, tuple[float, ...]]:
    found = {}
    if problem.network == "mlp":
        hidden = hidden.reshape(len(hidden), -1)
    for number, layer in enumerate(problem.layers, 1):
        kernel = state[problem.kernel(number)].astype(np.float64)
        hidden = hidden @ kernel if problem.network == "mlp" else _convolved(hidden, kernel, 1 if number == 1 else 2)
        axes = tuple(range(hidden.ndim - 1))
        mean, variance = hidden.mean(axes), hidden.var(axes)
        found[layer] = float(hidden.size // hidden.shape[-1]), mean, variance
        normal = (hidden - mean) / np.sqrt(variance + problem.epsilon)
        normal = normal * state[f"{layer}/gamma"] + state[f"{layer}/beta"]
        hidden = 1 / (1 + np.exp(-normal)) if problem.network == "mlp" else np.maximum(normal, 0)
    return found


def _convolved(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    # 3x3, SAME: a stride of 2 over an even side pads below and to the right alone
    before = 1 if stride == 1 else 0
    padded = np.pad(x, [(0, 0), (before, 1), (before, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
    # [n, height, width, inputs, 3, 3] against [3, 3, inputs, outputs]
    return np.tensordot(windows, kernel.transpose(2, 0, 1, 3), axes=3)
