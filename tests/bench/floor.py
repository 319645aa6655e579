"""What the machine could do at best: its rates, measured here and now, and the arithmetic and traffic of the work."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from .problem import CLASSES, FILTERS, WIDTHS

BYTES = 4  # of a float32


@dataclass(frozen=True)
class Machine:
    """Measured rates.

    Attributes:
        gemm: float32 operations a second, of the largest matrix product.
        copy: bytes a second that a large copy reads and writes.
    """

    gemm: float
    copy: float


@dataclass(frozen=True)
class Work:
    """What one training step, one example or one pass costs at least.

    Attributes:
        flops: multiplications and additions of the matrix products and convolutions.
        traffic: bytes read and written if each array were touched once.
    """

    flops: float
    traffic: float

    def seconds(self, machine: Machine) -> float:
        """Returns the time at full speed, arithmetic and traffic side by side."""
        return max(self.flops / machine.gemm, self.traffic / machine.copy)


def measure_machine(*, size: int = 1536, megabytes: int = 256, repetitions: int = 5) -> Machine:
    """Measures both rates with NumPy, on as many threads as it takes; the best of a few repetitions."""
    a = np.random.default_rng(0).normal(size=[size, size]).astype(np.float32)
    b, out = a.T.copy(), np.empty_like(a)
    source = np.ones(megabytes * 2**20 // BYTES, np.float32)
    target = np.empty_like(source)
    gemm = min(_seconds(lambda: np.matmul(a, b, out=out)) for _ in range(repetitions))
    copy = min(_seconds(lambda: np.copyto(target, source)) for _ in range(repetitions))
    return Machine(2 * size**3 / gemm, 2 * source.nbytes / copy)


def forward(network: str, batch: int) -> Work:
    """Returns what one batch forward costs: weights and inputs read, each hidden array written and read once."""
    flops, traffic = 0.0, batch * 784.0
    for products, weights, hidden in _layers(network):
        flops += 2 * batch * products
        traffic += weights + 2 * batch * hidden
    return Work(flops, BYTES * traffic)


def training_step(network: str, batch: int) -> Work:
    """Returns what one step costs: forward, the gradients of weights and of hidden arrays, and the update."""
    ahead = forward(network, batch)
    (first, *_), flops, traffic = _layers(network), 0.0, 0.0
    for products, weights, hidden in _layers(network):
        flops += 2 * 2 * batch * products
        traffic += (
            3 * weights + 3 * batch * hidden
        )  # gradient and update of weights; hidden arrays again, and gradients
    flops -= 2 * batch * first[0]  # nobody asks for the gradient of the images
    return Work(ahead.flops + flops, ahead.traffic + BYTES * traffic)


def _layers(network: str) -> list[tuple[int, int, int]]:
    """Returns by layer, for one example: products, weights, outputs."""
    found, inputs = [], 784 if network == "mlp" else 1
    sides = (28, 14, 7)
    for outputs, side in zip(WIDTHS if network == "mlp" else FILTERS, sides, strict=True):
        weights = inputs * outputs if network == "mlp" else 9 * inputs * outputs
        positions = 1 if network == "mlp" else side * side
        found.append((weights * positions, weights, outputs * positions))
        inputs = outputs
    return [*found, (inputs * CLASSES, inputs * CLASSES, CLASSES)]


def _seconds(call: Callable[[], object]) -> float:
    started = perf_counter()
    call()
    return perf_counter() - started
