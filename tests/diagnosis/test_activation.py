"""Each activation is undone where it can be seen, and its slope is that of the function itself."""

import numpy as np
import pytest

from bnexp.diagnosis.activation import ACTIVATIONS, NONE, could_be

X = np.linspace(-6, 9, 301) + 0.013

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772


def leaky(alpha):
    return lambda x: np.where(x < 0, alpha * x, x)


# by name: the function, and whether its output tells its input
FUNCTIONS = {
    "": (lambda x: x, lambda x: x == x),
    "relu": (lambda x: np.maximum(x, 0), lambda x: x > 0),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: (x > 0) & (x < 6)),
    **{f"leaky relu ({alpha:g})": (leaky(alpha), lambda x: x == x) for alpha in (0.2, 0.1, 0.01, 0.3, 0.05)},
    "elu": (lambda x: np.where(x > 0, x, np.exp(x) - 1), lambda x: np.exp(x) > 1e-3),
    "selu": (lambda x: SCALE * np.where(x > 0, x, ALPHA * (np.exp(x) - 1)), lambda x: np.exp(x) > 1e-3),
    "tanh": (np.tanh, lambda x: np.abs(np.tanh(x)) < 1 - 1e-3),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.abs(1 / (1 + np.exp(-x)) - 0.5) < 0.5 - 1e-3),
    "softplus": (lambda x: np.log(1 + np.exp(x)), lambda x: np.log(1 + np.exp(x)) > 1e-3),
}

BY_NAME = {activation.name: activation for activation in (NONE, *ACTIVATIONS)}


def test_every_activation_has_its_function_here():
    assert BY_NAME.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_visible_is_undone_and_the_rest_is_unknown(name):
    function, visible = FUNCTIONS[name]
    undone = BY_NAME[name].undo(function(X))
    np.testing.assert_allclose(undone[visible(X)], X[visible(X)], rtol=1e-9, atol=1e-12)
    assert np.all(np.isnan(undone[~visible(X)]))
    assert visible(X).mean() > 0.3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_slope_is_the_derivative(name):
    function, _ = FUNCTIONS[name]
    step = 1e-6
    numerical = (function(X + step) - function(X - step)) / (2 * step)
    np.testing.assert_allclose(BY_NAME[name].slope(function(X)), numerical, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_outputs_that_are_not_finite_are_infinite_and_those_of_float32_are_float64(name):
    undone = BY_NAME[name].undo(np.float32([np.nan, np.inf, -np.inf, 0.5]))
    assert undone.dtype == np.float64
    assert np.all(undone[:3] == np.inf)
    assert np.isfinite(undone[3])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_its_own_outputs_could_be_its(name):
    assert could_be(BY_NAME[name], FUNCTIONS[name][0](X.reshape(-1, 7)))
    assert not could_be(BY_NAME[name], np.array([1.0, np.nan]))


@pytest.mark.parametrize(
    ("name", "outside"),
    [
        ("relu", [-0.1, 1.0]),
        ("relu6", [-0.1, 1.0]),
        ("relu6", [6.1, 1.0]),
        ("elu", [-1.1, 1.0]),
        ("selu", [-1.76, 1.0]),
        ("tanh", [-1.1, 0.5]),
        ("tanh", [1.1, 0.5]),
        ("sigmoid", [-0.1, 0.5]),
        ("sigmoid", [1.1, 0.5]),
        ("softplus", [-0.1, 1.0]),
    ],
)
def test_outputs_beyond_its_bounds_could_not(name, outside):
    assert not could_be(BY_NAME[name], np.array(outside))
    assert could_be(BY_NAME[name], np.array(outside[1:]))


@pytest.mark.parametrize(("name", "out_of_sight"), [("relu", 0.0), ("relu6", 6.0), ("tanh", 1.0), ("sigmoid", 0.0)])
def test_outputs_that_are_nearly_all_out_of_sight_tell_nothing(name, out_of_sight):
    outputs = np.full(100, out_of_sight)
    outputs[:10] = 0.5
    assert not could_be(BY_NAME[name], outputs)
    outputs[:11] = 0.5
    assert could_be(BY_NAME[name], outputs)
