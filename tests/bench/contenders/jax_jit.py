"""JAX, jitted: a scan over all steps, or a call a step; predictions by lax.map."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..problem import Problem

Arrays = dict[str, Any]


class Contender:
    """Pure functions of a dict of weights.

    Args:
        problem: the work.
        scan: all steps, or all examples, in one compiled loop; else one compiled call each.
    """

    block = 1

    def __init__(self, problem: Problem, scan: bool) -> None:
        self.problem, self.scan = problem, scan
        data = problem.data
        self.x, self.y, self.x_test = map(jnp.asarray, (data.x_train, data.y_train, data.x_test))
        self.order = jnp.asarray(problem.order)
        self.state: Arrays = {}
        step = partial(_train_step, problem)
        self._step = jax.jit(lambda state, x, y, rows: step(state, (x[rows], y[rows])), donate_argnums=0)
        self._scan = jax.jit(
            lambda state, x, y, order: lax.scan(lambda s, rows: step(s, (x[rows], y[rows])), state, order)
        )
        self._predict = jax.jit(lambda state, x: _apply(problem, state, x, training=False)[0])
        self._map = jax.jit(
            lambda state, x: lax.map(lambda row: _apply(problem, state, row[None], training=False)[0][0], x)
        )

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        self.state = {name: jnp.array(value) for name, value in state.items()}

    def train(self, steps: int) -> np.ndarray:
        if self.scan:
            self.state, losses = self._scan(self.state, self.x, self.y, self.order[:steps])
            return np.asarray(losses)
        losses = []
        for rows in self.problem.order[:steps]:
            self.state, loss = self._step(self.state, self.x, self.y, rows)
            losses.append(loss)
        return np.array(losses)

    def predict(self, count: int) -> np.ndarray:
        if self.scan or self.problem.network == "cnn":
            return np.asarray(self._map(self.state, self.x_test[:count]))
        x = self.problem.data.x_test
        return np.concatenate([np.asarray(self._predict(self.state, x[i : i + 1])) for i in range(count)])


def _apply(problem: Problem, state: Arrays, x: Any, *, training: bool) -> tuple[Any, Arrays]:
    moved: Arrays = {}

    def batch_norm(hidden: Any, layer: str) -> Any:
        mean, variance = state[f"{layer}/moving_mean"], state[f"{layer}/moving_variance"]
        if training:
            axes = tuple(range(hidden.ndim - 1))
            batch = hidden.mean(axes), hidden.var(axes)
            for name, moving, new in (("moving_mean", mean, batch[0]), ("moving_variance", variance, batch[1])):
                moved[f"{layer}/{name}"] = problem.decay * moving + (1 - problem.decay) * new
            mean, variance = batch
        scale = state[f"{layer}/gamma"] * lax.rsqrt(variance + problem.epsilon)
        return hidden * scale + (state[f"{layer}/beta"] - mean * scale)

    hidden = x.reshape(len(x), -1) if problem.network == "mlp" else x
    for number, layer in enumerate(problem.layers, 1):
        kernel = state[problem.kernel(number)]
        if problem.network == "mlp":
            hidden = jax.nn.sigmoid(batch_norm(hidden @ kernel, layer))
        else:
            strides = (1, 1) if number == 1 else (2, 2)
            hidden = lax.conv_general_dilated(
                hidden, kernel, strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            hidden = jax.nn.relu(batch_norm(hidden, layer))
    if problem.network == "cnn":
        hidden = hidden.mean((1, 2))
    return hidden @ state["logits/kernel"] + state["logits/bias"], moved


def _train_step(problem: Problem, state: Arrays, batch: tuple[Any, Any]) -> tuple[Arrays, Any]:
    x, y = batch
    fixed = {name: value for name, value in state.items() if "/moving_" in name}
    trainable = {name: value for name, value in state.items() if name not in fixed}

    def loss_of(weights: Arrays) -> tuple[Any, Arrays]:
        logits, moved = _apply(problem, weights | fixed, x, training=True)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
        return -chosen.mean(), moved

    (loss, moved), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable)
    return {name: trainable[name] - problem.learning_rate * gradients[name] for name in trainable} | moved, loss
