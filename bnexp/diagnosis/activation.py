"""The activation that a layer applies behind its normalisation, found by undoing those that are in use.

An activation inside a batch norm's function is no mistake of its batch norm. Where one is undone, the values that it
has put out of sight (what a ReLU cut off, where a sigmoid is saturated) become NaN, which stands for unknown here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# outputs nearer than this to the bounds of a sigmoid or tanh are saturated
_SATURATED = 1e-3


@dataclass(frozen=True)
class Activation:
    """An activation function and its inverse.

    Attributes:
        name: its usual name; empty for none.
        invert: turns outputs into inputs, NaN where they cannot be known.
        slope: returns the derivative at the inputs, from the outputs.
    """

    name: str
    invert: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]

    def undo(self, outputs: np.ndarray) -> np.ndarray:
        """Returns what the activation was applied to, float64: NaN where that is unknown, infinite where it is NaN.

        Args:
            outputs: the outputs of a layer, of any shape.

        Example:
            >>> RELU.undo(np.array([0.0, 2.0]))
            array([nan,  2.])
        """
        outputs = np.asarray(outputs, np.float64)
        with np.errstate(all="ignore"):
            return np.where(np.isfinite(outputs), self.invert(outputs), np.inf)


NONE = Activation("", lambda y: y, np.ones_like)
RELU = Activation("relu", lambda y: np.where(y > 0, y, np.nan), lambda y: (y > 0) * 1.0)


def _leaky(alpha: float) -> Activation:
    return Activation(
        f"leaky relu ({alpha:g})", lambda y: np.where(y < 0, y / alpha, y), lambda y: np.where(y < 0, alpha, 1.0)
    )


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

ACTIVATIONS = (
    RELU,
    Activation("relu6", lambda y: np.where((y > 0) & (y < 6), y, np.nan), lambda y: ((y > 0) & (y < 6)) * 1.0),
    *map(_leaky, (0.2, 0.1, 0.01, 0.3, 0.05)),
    Activation(
        "elu", lambda y: np.where(y > 0, y, _visible(np.log1p(y), y > _SATURATED - 1)), lambda y: np.minimum(y, 0) + 1
    ),
    Activation(
        "selu",
        lambda y: np.where(
            y > 0,
            y / _SELU_SCALE,
            _visible(np.log1p(y / (_SELU_SCALE * _SELU_ALPHA)), y > (_SATURATED - 1) * _SELU_SCALE * _SELU_ALPHA),
        ),
        lambda y: np.where(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA),
    ),
    Activation("tanh", lambda y: _visible(np.arctanh(y), np.abs(y) < 1 - _SATURATED), lambda y: 1 - y**2),
    Activation(
        "sigmoid",
        lambda y: _visible(np.log(y) - np.log1p(-y), (y > _SATURATED) & (y < 1 - _SATURATED)),
        lambda y: y * (1 - y),
    ),
    Activation("softplus", lambda y: _visible(np.log(np.expm1(y)), y > _SATURATED), lambda y: -np.expm1(-y)),
)


def could_be(activation: Activation, outputs: np.ndarray) -> bool:
    """Tells whether outputs lie where an activation puts them, and not all out of sight.

    Args:
        activation: one of ACTIVATIONS.
        outputs: the outputs of a layer, [batch, ..., channels].

    Example:
        >>> could_be(RELU, np.array([[0.0], [2.0]])), could_be(RELU, np.array([[-1.0], [2.0]]))
        (True, False)
    """
    bounds = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0), "elu": (-1.0, np.inf), "tanh": (-1.0, 1.0)}
    bounds |= {"sigmoid": (0.0, 1.0), "softplus": (0.0, np.inf), "selu": (-_SELU_SCALE * _SELU_ALPHA, np.inf)}
    low, high = bounds.get(activation.name, (-np.inf, np.inf))
    within = bool(np.all(np.isfinite(outputs)) and np.all(outputs >= low) and np.all(outputs <= high))
    return within and bool(np.mean(np.isfinite(activation.undo(outputs))) > 0.1)


def _visible(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.where(seen, values, np.nan)
