"""Layers as users write them, without traits: right ones and broken ones, each in its own style, none from the zoo.

What is looked at is only what they do. The diagnosis has to call every right one healthy and no broken one so.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.training import moving_averages

v1 = tf.compat.v1


def moments(inputs, **options):
    return tf.nn.moments(inputs, list(range(len(inputs.shape) - 1)), **options)


def moved(variable, value, decay):
    return variable.assign(decay * variable + (1 - decay) * value)


# --- right ------------------------------------------------------------------------------------------------------------


def plain_function(inputs, training, decay, epsilon):
    """get_variable without a word of reuse or of a scope: whoever calls it wraps it in one."""
    channels = inputs.shape[-1]
    gamma = v1.get_variable("gamma", [channels], initializer=v1.ones_initializer())
    beta = v1.get_variable("beta", [channels], initializer=v1.zeros_initializer())
    mean = v1.get_variable("moving_mean", [channels], initializer=v1.zeros_initializer(), trainable=False)
    variance = v1.get_variable("moving_variance", [channels], initializer=v1.ones_initializer(), trainable=False)
    if not training:
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, epsilon)
    batch_mean, batch_variance = moments(inputs)
    with tf.control_dependencies([moved(mean, batch_mean, decay), moved(variance, batch_variance, decay)]):
        return tf.nn.batch_normalization(inputs, batch_mean, batch_variance, beta, gamma, epsilon)


class Stateful:
    """Makes tf.Variables at its first call and keeps them; names, a decay and an epsilon of its own, no gamma."""

    def __init__(self):
        self.mu = None

    def __call__(self, x, is_training):
        if self.mu is None:
            self.mu, self.s2 = (tf.Variable(tf.fill([x.shape[-1]], start), trainable=False) for start in (0.0, 1.0))
            self.shift = tf.Variable(tf.zeros([x.shape[-1]]))
        if not is_training:
            return (x - self.mu) / tf.sqrt(self.s2 + 1e-5) + self.shift
        mean, variance = moments(x)
        with tf.control_dependencies([moved(self.mu, mean, 0.95), moved(self.s2, variance, 0.95)]):
            return (x - mean) / tf.sqrt(variance + 1e-5) + self.shift


def placeholder_flag(x, phase_train, decay, epsilon):
    """tf.cond on a fed flag, everything in its branches, variables outside."""
    mean = v1.get_variable("pop_mean", [x.shape[-1]], initializer=v1.zeros_initializer(), trainable=False)
    variance = v1.get_variable("pop_var", [x.shape[-1]], initializer=v1.ones_initializer(), trainable=False)

    def in_training():
        batch_mean, batch_variance = moments(x)
        with tf.control_dependencies([moved(mean, batch_mean, decay), moved(variance, batch_variance, decay)]):
            return tf.nn.batch_normalization(x, batch_mean, batch_variance, None, None, epsilon)

    def in_inference():
        return tf.nn.batch_normalization(x, mean, variance, None, None, epsilon)

    return tf.cond(phase_train, in_training, in_inference)


class KerasInside:
    """Keras's layer in a class of one's own, its updates run by a tf.function."""

    def __init__(self, decay, epsilon):
        self.layer = tf.keras.layers.BatchNormalization(momentum=decay, epsilon=epsilon)

    def __call__(self, inputs, training):
        if training:
            self.layer.build(inputs.shape)
        return tf.function(lambda x: self.layer(x, training=training), autograph=False)(inputs)


class KerasInABareGraph:
    """Keras's layer called as its users call it; whoever builds the graph has to run what it assigns."""

    def __init__(self, decay, epsilon):
        self.layer = tf.keras.layers.BatchNormalization(momentum=decay, epsilon=epsilon)

    def __call__(self, inputs, training):
        return self.layer(inputs, training=training)


class OwnTrainOp:
    """tf.layers' manner: UPDATE_OPS, and a train op that runs it."""

    def __init__(self, name, decay, epsilon):
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs, training):
        with v1.variable_scope(self.name, reuse=not training):
            mean = v1.get_variable(
                "moving_mean", [inputs.shape[-1]], initializer=v1.zeros_initializer(), trainable=False
            )
            variance = v1.get_variable(
                "moving_variance", [inputs.shape[-1]], initializer=v1.ones_initializer(), trainable=False
            )
        if not training:
            return tf.nn.batch_normalization(inputs, mean, variance, None, None, self.epsilon)
        batch_mean, batch_variance = moments(inputs)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, moved(mean, batch_mean, self.decay))
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, moved(variance, batch_variance, self.decay))
        return tf.nn.batch_normalization(inputs, batch_mean, batch_variance, None, None, self.epsilon)

    @staticmethod
    def train_op(optimizer, loss, layers):
        with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            return optimizer.minimize(loss)


class DebiasedWhenRead:
    """Keeps the biased averages, from 0, and divides by 1 - decay**t when it needs them."""

    def __init__(self, name, decay, epsilon):
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs, training):
        with v1.variable_scope(self.name, reuse=v1.AUTO_REUSE):
            zeros = {"initializer": v1.zeros_initializer(), "trainable": False}
            mean, variance = (v1.get_variable(n, [inputs.shape[-1]], **zeros) for n in ("mean_sum", "variance_sum"))
            steps = v1.get_variable("steps", [], **zeros)
        if not training:
            weight = 1 - tf.pow(self.decay, tf.maximum(steps, 1.0))
            return tf.nn.batch_normalization(inputs, mean / weight, variance / weight, None, None, self.epsilon)
        batch_mean, batch_variance = moments(inputs)
        updates = [moved(mean, batch_mean, self.decay), moved(variance, batch_variance, self.decay)]
        with tf.control_dependencies([*updates, steps.assign_add(1.0)]):
            return tf.nn.batch_normalization(inputs, batch_mean, batch_variance, None, None, self.epsilon)


def kept_axes(inputs, training, decay, epsilon):
    """Statistics of shape [1, ..., channels], as keepdims leaves them; gamma as 1 + delta."""
    shape = [1] * (len(inputs.shape) - 1) + [inputs.shape[-1]]
    delta = v1.get_variable("delta", shape, initializer=v1.zeros_initializer())
    mean = v1.get_variable("running_mean", shape, initializer=v1.zeros_initializer(), trainable=False)
    variance = v1.get_variable("running_var", shape, initializer=v1.ones_initializer(), trainable=False)
    used = mean, variance
    updates = []
    if training:
        used = moments(inputs, keepdims=True)
        updates = [moved(mean, used[0], decay), moved(variance, used[1], decay)]
    with tf.control_dependencies(updates):
        return (inputs - used[0]) * tf.math.rsqrt(used[1] + epsilon) * (1 + delta)


class GammaFromZero:
    """The residual networks' start; the average is TensorFlow's own, debiased."""

    def __init__(self, name, decay, epsilon):
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs, training):
        with v1.variable_scope(self.name, reuse=v1.AUTO_REUSE):
            gamma = v1.get_variable("gamma", [inputs.shape[-1]], initializer=v1.zeros_initializer())
            zeros = {"initializer": v1.zeros_initializer(), "trainable": False}
            mean, variance = (v1.get_variable(n, [inputs.shape[-1]], **zeros) for n in ("moving_mean", "moving_var"))
        if not training:
            return tf.nn.batch_normalization(inputs, mean, variance, None, gamma, self.epsilon)
        batch = moments(inputs)
        average = moving_averages.assign_moving_average
        updates = [average(m, b, self.decay, zero_debias=True) for m, b in zip((mean, variance), batch, strict=True)]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, *batch, None, gamma, self.epsilon)


RIGHT: list[Callable] = [
    plain_function,
    Stateful,
    placeholder_flag,
    KerasInside,
    KerasInABareGraph,
    OwnTrainOp,
    DebiasedWhenRead,
    kept_axes,
    GammaFromZero,
]

# --- broken -----------------------------------------------------------------------------------------------------------


class _Base:
    """The right parts of what follows."""

    def __init__(self, name, decay, epsilon):
        self.name, self.decay, self.epsilon = name, decay, epsilon

    def __call__(self, inputs, training):
        channels = inputs.shape[-1]
        with v1.variable_scope(self.name, reuse=v1.AUTO_REUSE):
            self.gamma = v1.get_variable("gamma", [channels], initializer=v1.ones_initializer())
            self.beta = v1.get_variable("beta", [channels], initializer=v1.zeros_initializer())
            self.mean = v1.get_variable("mean", [channels], initializer=v1.zeros_initializer(), trainable=False)
            self.variance = v1.get_variable("var", [channels], initializer=v1.ones_initializer(), trainable=False)
            return self.train(inputs) if training else self.infer(inputs)

    def train(self, x):
        mean, variance = moments(x)
        with tf.control_dependencies(self.update(x, mean, variance)):
            return self.normalise(x, mean, variance)

    def infer(self, x):
        return self.normalise(x, self.mean, self.variance)

    def update(self, x, mean, variance):
        return [moved(self.mean, mean, self.decay), moved(self.variance, variance, self.decay)]

    def normalise(self, x, mean, variance):
        return tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, self.epsilon)


class MeanForgottenAtInference(_Base):
    def infer(self, x):
        return self.normalise(x, 0.0, self.variance)


class AffineForgottenAtInference(_Base):
    """Invisible while gamma is 1 and beta 0."""

    def infer(self, x):
        return tf.nn.batch_normalization(x, self.mean, self.variance, None, None, self.epsilon)


class EpsilonForgottenAtInference(_Base):
    def infer(self, x):
        return tf.nn.batch_normalization(x, self.mean, self.variance, self.beta, self.gamma, 0.0)


class StddevForVariance(_Base):
    """Averages standard deviations into what is then taken for a variance."""

    def update(self, x, mean, variance):
        return super().update(x, mean, tf.sqrt(variance))


class BlendAtInference(_Base):
    """Half the batch's statistics, "to adapt"."""

    def infer(self, x):
        mean, variance = moments(x)
        return self.normalise(x, (self.mean + mean) / 2, (self.variance + variance) / 2)


class ForgetsEveryFourSteps(_Base):
    """Starts its averages anew with each "epoch"."""

    def update(self, x, mean, variance):
        step = v1.get_variable("step", [], initializer=v1.zeros_initializer(), trainable=False)
        again = tf.equal(tf.math.floormod(step.assign_add(1.0, read_value=True), 4.0), 0.0)
        kept_mean, kept_variance = (tf.where(again, 0.0, v) for v in (self.mean, self.variance))
        return [
            self.mean.assign(self.decay * kept_mean + (1 - self.decay) * mean),
            self.variance.assign(self.decay * kept_variance + (1 - self.decay) * variance),
        ]


class TakesEightForGranted(_Base):
    """Bessel's correction of a batch of eight, whatever the batch."""

    def update(self, x, mean, variance):
        return super().update(x, mean, variance * 8 / 7)


class LeaksOnSingles(_Base):
    """Guards its update by the size of the batch instead of the flag, and that the wrong way round."""

    def infer(self, x):
        def leak():
            with tf.control_dependencies([self.variance.assign(self.variance * 0.999)]):
                return tf.identity(x)

        x = tf.cond(tf.equal(tf.shape(x)[0], 1), leak, lambda: tf.identity(x))
        return super().infer(x)


class MomentsAfterTheActivation(_Base):
    def update(self, x, mean, variance):
        return super().update(x, *moments(tf.nn.relu(x)))


class NoAverages(_Base):
    """Normalises with the batch, always; keeps nothing that inference could read."""

    def __call__(self, inputs, training):
        return tf.nn.batch_normalization(inputs, *moments(inputs), None, None, self.epsilon)


class VarianceOfTheMeans(_Base):
    """Averages squared distances of batch means instead of variances."""

    def update(self, x, mean, variance):
        return super().update(x, mean, (mean - self.mean) ** 2)


class NoGradient(_Base):
    """The moments under stop_gradient."""

    def train(self, x):
        mean, variance = (tf.stop_gradient(moment) for moment in moments(x))
        with tf.control_dependencies(self.update(x, mean, variance)):
            return self.normalise(x, mean, variance)


class SumForMean(_Base):
    """Adds the batches up and never divides."""

    def update(self, x, mean, variance):
        return [self.mean.assign_add(mean), self.variance.assign_add(variance)]


def forgotten_update(inputs, training, decay, epsilon):
    """Makes its updates and lets them lie."""
    mean = v1.get_variable("moving_mean", [inputs.shape[-1]], initializer=v1.zeros_initializer(), trainable=False)
    variance = v1.get_variable(
        "moving_variance", [inputs.shape[-1]], initializer=v1.ones_initializer(), trainable=False
    )
    if not training:
        return tf.nn.batch_normalization(inputs, mean, variance, None, None, epsilon)
    batch_mean, batch_variance = moments(inputs)
    moved(mean, batch_mean, decay)
    moved(variance, batch_variance, decay)
    return tf.nn.batch_normalization(inputs, batch_mean, batch_variance, None, None, epsilon)


def average_of_tensors(x, phase_train, decay, epsilon):
    """ExponentialMovingAverage on the moments themselves: its shadows start at 0, the variance's too."""
    ema = v1.train.ExponentialMovingAverage(decay)
    mean, variance = moments(x)

    def in_training():
        with tf.control_dependencies([ema.apply([mean, variance])]):
            return tf.identity(mean), tf.identity(variance)

    used = tf.cond(phase_train, in_training, lambda: (ema.average(mean), ema.average(variance)))
    return tf.nn.batch_normalization(x, *used, None, None, epsilon)


def own_set_each(inputs, training, decay, epsilon):
    """tf.Variable at every call: inference has statistics of its own."""
    mean = tf.Variable(tf.zeros([inputs.shape[-1]]), trainable=False, name="mean")
    variance = tf.Variable(tf.ones([inputs.shape[-1]]), trainable=False, name="variance")
    if not training:
        return tf.nn.batch_normalization(inputs, mean, variance, None, None, epsilon)
    batch_mean, batch_variance = moments(inputs)
    with tf.control_dependencies([moved(mean, batch_mean, decay), moved(variance, batch_variance, decay)]):
        return tf.nn.batch_normalization(inputs, batch_mean, batch_variance, None, None, epsilon)


# what each is to be called
BROKEN: dict[Callable, str] = {
    forgotten_update: "updates_never_run",
    own_set_each: "separate_statistics",
    average_of_tensors: "wrong_recurrence",
    NoAverages: "batch_statistics_at_inference",
    BlendAtInference: "batch_statistics_at_inference",
    LeaksOnSingles: "leaks_at_inference",
    StddevForVariance: "wrong_recurrence",
    ForgetsEveryFourSteps: "wrong_recurrence",
    TakesEightForGranted: "wrong_recurrence",
    MomentsAfterTheActivation: "wrong_recurrence",
    VarianceOfTheMeans: "wrong_recurrence",
    SumForMean: "wrong_recurrence",
    MeanForgottenAtInference: "wrong_normalisation",
    AffineForgottenAtInference: "wrong_normalisation",
    EpsilonForgottenAtInference: "wrong_normalisation",
    NoGradient: "wrong_normalisation",
}
