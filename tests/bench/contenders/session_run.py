"""The documents' way: placeholders, a feed_dict, one Session.run a step, the update ops as dependencies of minimize."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from ..problem import CLASSES, FILTERS, WIDTHS, Problem

v1 = tf.compat.v1


class Contender:
    """A script of 2017 in a class."""

    block = 1

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        with tf.Graph().as_default() as graph:
            # `load` replaces what is drawn, and yet to draw it unseeded is an error where TensorFlow must repeat itself
            v1.set_random_seed(problem.seed)
            self.x = v1.placeholder(tf.float32, [None, 28, 28, 1])
            self.y = v1.placeholder(tf.int32, [None])
            self.training = v1.placeholder(tf.bool, [])
            self.logits = self._network(self.x)
            self.loss = v1.losses.sparse_softmax_cross_entropy(self.y, self.logits)
            optimizer = v1.train.GradientDescentOptimizer(problem.learning_rate)
            with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
                self.train_op = optimizer.minimize(self.loss)
            self.variables = {variable.op.name: variable for variable in v1.global_variables()}
            self.session = v1.Session(graph=graph)
            self.session.run(v1.global_variables_initializer())

    def load(self, state: Mapping[str, np.ndarray]) -> None:
        initializers = [variable.initializer for variable in self.variables.values()]
        self.session.run(
            initializers, {op.inputs[1]: state[name] for op, name in zip(initializers, self.variables, strict=True)}
        )

    def train(self, steps: int) -> np.ndarray:
        losses, data = [], self.problem.data
        for rows in self.problem.order[:steps]:
            feed = {self.x: data.x_train[rows], self.y: data.y_train[rows], self.training: True}
            _, loss = self.session.run([self.train_op, self.loss], feed_dict=feed)
            losses.append(loss)
        return np.array(losses)

    def predict(self, count: int) -> np.ndarray:
        outputs = [
            self.session.run(self.logits, feed_dict={self.x: self.problem.data.x_test[i : i + 1], self.training: False})
            for i in range(count)
        ]
        return np.concatenate(outputs)

    def _network(self, hidden: tf.Tensor) -> tf.Tensor:
        if self.problem.network == "mlp":
            hidden = tf.reshape(hidden, [-1, 28 * 28])
            for number, width in enumerate(WIDTHS, 1):
                kernel = v1.get_variable(f"dense{number}/kernel", [hidden.shape[-1], width])
                hidden = tf.sigmoid(self._batch_norm(tf.matmul(hidden, kernel), f"bn{number}"))
        else:
            for number, filters in enumerate(FILTERS, 1):
                kernel = v1.get_variable(f"conv{number}/kernel", [3, 3, hidden.shape[-1], filters])
                hidden = tf.nn.conv2d(hidden, kernel, strides=1 if number == 1 else 2, padding="SAME")
                hidden = tf.nn.relu(self._batch_norm(hidden, f"bn{number}"))
            hidden = tf.reduce_mean(hidden, [1, 2])
        kernel = v1.get_variable("logits/kernel", [hidden.shape[-1], CLASSES])
        return tf.matmul(hidden, kernel) + v1.get_variable("logits/bias", [CLASSES])

    def _batch_norm(self, hidden: tf.Tensor, name: str) -> tf.Tensor:
        """tf.layers.batch_normalization with a placeholder: the fused kernel for images, moments for rows."""
        decay, epsilon, channels = self.problem.decay, self.problem.epsilon, hidden.shape[-1]
        with v1.variable_scope(name):
            gamma, beta = v1.get_variable("gamma", [channels]), v1.get_variable("beta", [channels])
            moving_mean = v1.get_variable("moving_mean", [channels], trainable=False)
            moving_variance = v1.get_variable("moving_variance", [channels], trainable=False)

        def fused(training: bool) -> tuple[tf.Tensor, ...]:
            moving = () if training else (moving_mean.read_value(), moving_variance.read_value())
            return tuple(
                v1.nn.fused_batch_norm(hidden, gamma, beta, *moving, epsilon=epsilon, is_training=training)[:3]
            )

        if len(hidden.shape) == 4:
            outputs, mean, variance = tf.cond(self.training, lambda: fused(True), lambda: fused(False))
        else:
            mean, variance = tf.cond(
                self.training,
                lambda: tuple(tf.nn.moments(hidden, [0])),
                lambda: (moving_mean.read_value(), moving_variance.read_value()),
            )
            outputs = tf.nn.batch_normalization(hidden, mean, variance, beta, gamma, epsilon)
        for moving, batch in ((moving_mean, mean), (moving_variance, variance)):
            # at inference the difference is 0
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, moving.assign_sub((moving - batch) * (1 - decay)))
        return outputs
