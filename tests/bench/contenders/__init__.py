"""Who takes part, and how each is set up; a contender's libraries are imported in its own process alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from ..problem import Problem


class Contender(Protocol):
    """One way to do the work. What a method is given and returns is outside the clock where that can be.

    Attributes:
        block: training losses are known for this many steps together, as their mean.
    """

    block: int

    def __init__(self, problem: Problem, **settings: Any) -> None: ...

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        """Sets weights, gamma, beta and moving statistics, by bnexp's names; a fresh optimizer."""
        ...

    def train(self, steps: int) -> np.ndarray:
        """Takes the first `steps` steps of the problem's order; returns their losses [steps]."""
        ...

    def predict(self, count: int) -> np.ndarray:
        """Returns outputs [count, classes] of the first test examples in inference mode, one example at a time."""
        ...

    def final_pass(self, kind: str, count: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns mean and variance [channels] of each layer's input over the first `count` training examples.

        Args:
            kind: `precise_bn` or `paper`.
            count: in batches of the problem's batch size, a shorter last one included.
        """
        ...


@dataclass(frozen=True)
class Entry:
    """A contender's name in the tables, and how to make it.

    Attributes:
        name: unique.
        family: the best of a family is what its target speaks of.
        module: in this package; its class is `Contender`.
        needs: the package that must be installed.
        settings: keyword arguments of the class.
        networks: those it takes part with.
        share: of the steps and examples that bnexp does; slow ones do fewer, and rates are compared.
        works: what it does: training, evaluation, precise_bn, paper.
    """

    name: str
    family: str
    module: str
    needs: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    networks: tuple[str, ...] = ("mlp", "cnn")
    share: float = 1.0
    works: tuple[str, ...] = ("training", "evaluation")

    def make(self, problem: Problem) -> Contender:
        made: Contender = import_module(f".{self.module}", __package__).Contender(problem, **self.settings)
        return made

    @property
    def installed(self) -> bool:
        return find_spec(self.needs) is not None


# bnexp's name of each final pass, and the peer's that measures the same
PASSES = {"precise_bn": "fvcore PreciseBN", "paper": "PyTorch update_bn"}
ALL = ("training", "evaluation", *PASSES)

ENTRIES = (
    Entry("bnexp", "bnexp", "own", "bnexp", works=ALL),
    Entry("Session.run", "Session.run", "session_run", "tensorflow", share=0.2),
    Entry("Keras defaults", "Keras defaults", "keras_fit", "keras", share=0.1),
    Entry("Keras, XLA, 20 steps a call", "Keras tuned", "keras_fit", "keras", {"jit": True, "block": 20}, share=0.2),
    Entry(
        "Keras, no XLA, 20 steps a call", "Keras tuned", "keras_fit", "keras", {"jit": False, "block": 20}, share=0.2
    ),
    Entry("PyTorch, 1 thread", "PyTorch", "torch_eager", "torch", {"threads": 1}, share=0.2, works=ALL),
    Entry("PyTorch, 2 threads", "PyTorch", "torch_eager", "torch", {"threads": 2}, share=0.2, works=ALL),
    Entry(
        "PyTorch, channels_last, 1 thread",
        "PyTorch",
        "torch_eager",
        "torch",
        {"threads": 1, "channels_last": True},
        networks=("cnn",),
        share=0.2,
        works=ALL,
    ),
    Entry(
        "PyTorch, channels_last, 2 threads",
        "PyTorch",
        "torch_eager",
        "torch",
        {"threads": 2, "channels_last": True},
        networks=("cnn",),
        share=0.2,
        works=ALL,
    ),
    Entry("JAX scan", "JAX", "jax_jit", "jax", {"scan": True}, networks=("mlp",)),
    # measured: seven times slower than a step at a time, so a few steps say enough
    Entry("JAX scan", "JAX", "jax_jit", "jax", {"scan": True}, networks=("cnn",), share=0.02, works=("training",)),
    Entry("JAX step", "JAX", "jax_jit", "jax", {"scan": False}, share=0.2),
)


def entries(network: str, work: str) -> list[Entry]:
    """Returns who takes part in a work and is installed, bnexp first."""
    found = [entry for entry in ENTRIES if network in entry.networks and work in entry.works and entry.installed]
    return found[:1] if work == "precise_bn" and find_spec("fvcore") is None else found
