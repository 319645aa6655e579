"""Keras: `fit` and `predict(batch_size=1)`, with their defaults or with XLA and several steps a call."""

from collections.abc import Mapping

import keras
import numpy as np

from ..problem import CLASSES, FILTERS, WIDTHS, Problem


class Contender:
    """A functional model.

    Args:
        problem: the work.
        jit: compile with XLA or not; None leaves Keras's own choice.
        block: batches in one call into TensorFlow.
    """

    def __init__(self, problem: Problem, jit: bool | None = None, block: int = 1) -> None:
        self.problem, self.block = problem, block
        data = problem.data
        self.model = _network(problem)
        self._settings = {"jit_compile": "auto" if jit is None else jit, "steps_per_execution": block}
        # batches come one after another, so the order is that of the array
        rows = problem.order.reshape(-1)
        self.x, self.y, self.x_test = data.x_train[rows], data.y_train[rows], data.x_test

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        for layer in self.model.layers:
            if layer.weights:
                names = [f"{layer.name}/{weight.name}" for weight in layer.weights]
                layer.set_weights([state[name] for name in names])
        if not self.model.compiled:
            self.model.compile(
                optimizer=keras.optimizers.SGD(self.problem.learning_rate),
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                **self._settings,
            )

    def train(self, steps: int) -> np.ndarray:
        means: dict[int, float] = {}
        record = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: means.update({batch: logs["loss"]})
        )
        count = steps * self.problem.batch_size
        self.model.fit(
            self.x[:count],
            self.y[:count],
            batch_size=self.problem.batch_size,
            shuffle=False,
            verbose=0,
            callbacks=[record],
        )
        # Keras reports the mean so far
        sums = np.array(list(means.values())) * self.block * np.arange(1, len(means) + 1)
        return (np.diff(sums, prepend=0) / self.block).repeat(self.block)

    def predict(self, count: int) -> np.ndarray:
        outputs: np.ndarray = self.model.predict(self.x_test[:count], batch_size=1, verbose=0)
        return outputs


def _network(problem: Problem) -> keras.Model:
    def batch_norm(number: int) -> keras.layers.Layer:
        return keras.layers.BatchNormalization(momentum=problem.decay, epsilon=problem.epsilon, name=f"bn{number}")

    inputs = hidden = keras.Input([28, 28, 1])
    if problem.network == "mlp":
        hidden = keras.layers.Flatten()(hidden)
        for number, width in enumerate(WIDTHS, 1):
            hidden = keras.layers.Dense(width, use_bias=False, name=f"dense{number}")(hidden)
            hidden = keras.activations.sigmoid(batch_norm(number)(hidden))
    else:
        for number, filters in enumerate(FILTERS, 1):
            strides = 1 if number == 1 else 2
            hidden = keras.layers.Conv2D(
                filters, 3, strides=strides, padding="same", use_bias=False, name=f"conv{number}"
            )(hidden)
            hidden = keras.activations.relu(batch_norm(number)(hidden))
        hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, name="logits")(hidden))
