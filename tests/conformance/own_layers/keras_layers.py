"""Keras layers as people write them since Keras 3: by hand, by subclassing, by wrapping, as small models."""

import keras
import tensorflow as tf
from keras import ops

# --- right ------------------------------------------------------------------------------------------------------------


class HandWrittenBatchNorm(keras.layers.Layer):
    """The tutorial's custom layer, 2023: add_weight in build, assign in call."""

    def __init__(self, momentum=0.99, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")
        self.moving_mean = self.add_weight(name="moving_mean", shape=shape, initializer="zeros", trainable=False)
        self.moving_var = self.add_weight(name="moving_var", shape=shape, initializer="ones", trainable=False)

    def call(self, inputs, training=False):
        if training:
            mean, var = tf.nn.moments(inputs, axes=list(range(inputs.shape.rank - 1)))
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
            self.moving_var.assign(self.moving_var * self.momentum + var * (1.0 - self.momentum))
        else:
            mean, var = self.moving_mean, self.moving_var
        return self.gamma * (inputs - mean) / ops.sqrt(var + self.epsilon) + self.beta


class MaskBlindBatchNorm(keras.layers.BatchNormalization):
    """Subclass of Keras's own, 2022: other defaults, and a mask, should one come along, is ignored."""

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=training)


class NormAct(keras.layers.Layer):
    """Detection backbone's block, 2021: norm and activation; trusts Keras to pass `training` on to the inner layer."""

    def __init__(self, activation="relu", norm_momentum=0.9, norm_epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.norm = keras.layers.BatchNormalization(momentum=norm_momentum, epsilon=norm_epsilon)
        self.act = keras.layers.Activation(activation)

    def build(self, input_shape):
        self.norm.build(input_shape)

    def call(self, inputs, training=None):
        return self.act(self.norm(inputs))


class BNLeaky(keras.Sequential):
    """GAN discriminator's tail, 2020: a Sequential that serves as one layer."""

    def __init__(self, momentum=0.8, alpha=0.2, name=None):
        super().__init__(
            [keras.layers.BatchNormalization(momentum=momentum), keras.layers.LeakyReLU(negative_slope=alpha)],
            name=name,
        )


class FunctionalNorm(keras.layers.Layer):
    """Functional API enthusiast, 2024: the layer holds a little functional model, made in build."""

    def __init__(self, momentum=0.99, epsilon=1e-3):
        super().__init__()
        self.options = {"momentum": momentum, "epsilon": epsilon}

    def build(self, input_shape):
        features = keras.Input(shape=input_shape[1:])
        self.model = keras.Model(features, keras.layers.BatchNormalization(**self.options)(features))

    def call(self, x, training=None):
        return self.model(x, training=training)


class BranchFreeBatchNorm(keras.layers.Layer):
    """XLA-minded, 2023: no branch at all, the flag becomes a number that blends statistics and momentum."""

    def __init__(self, momentum=0.99, eps=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.eps = momentum, eps

    def build(self, input_shape):
        self.axes = list(range(len(input_shape) - 1))
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        self.ema_mean = self.add_weight(shape=(input_shape[-1],), initializer="zeros", trainable=False, name="ema_mean")
        self.ema_var = self.add_weight(shape=(input_shape[-1],), initializer="ones", trainable=False, name="ema_var")

    def call(self, x, training=False):
        on = tf.cast(training, x.dtype)
        mean, var = ops.moments(x, axes=self.axes)
        rate = on * (1.0 - self.momentum)
        old_mean, old_var = ops.convert_to_tensor(self.ema_mean), ops.convert_to_tensor(self.ema_var)
        self.ema_mean.assign(old_mean + rate * (mean - old_mean))
        self.ema_var.assign(old_var + rate * (var - old_var))
        used_mean, used_var = on * mean + (1.0 - on) * old_mean, on * var + (1.0 - on) * old_var
        return self.scale * (x - used_mean) * ops.rsqrt(used_var + self.eps)


def bn(x, training, momentum=0.99, epsilon=1e-3):
    """Functional API, 2019: a block of a model, which makes the layer and calls it."""
    return tf.keras.layers.BatchNormalization(momentum=momentum, epsilon=epsilon)(x, training=training)


# --- broken -----------------------------------------------------------------------------------------------------------


class RunningNorm(keras.layers.Layer):
    """Reinforcement learner's observation norm, 2020: training normalises with the running statistics too."""

    def __init__(self, momentum=0.99, epsilon=1e-3, name="running_norm"):
        super().__init__(name=name)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape):
        n = input_shape[-1]
        self.mean = self.add_weight(name="mean", shape=(n,), initializer="zeros", trainable=False)
        self.var = self.add_weight(name="var", shape=(n,), initializer="ones", trainable=False)
        self.beta = self.add_weight(name="beta", shape=(n,), initializer="zeros")

    def call(self, x, training=False):
        if training:
            mean, var = ops.moments(x, axes=list(range(len(x.shape) - 1)))
            self.mean.assign(self.momentum * self.mean + (1 - self.momentum) * mean)
            self.var.assign(self.momentum * self.var + (1 - self.momentum) * var)
        return (x - self.mean) / ops.sqrt(self.var + self.epsilon) + self.beta


class AlwaysOnBatchNorm(keras.layers.BatchNormalization):
    """Image-to-image GAN, 2019: training=True left in the call for good."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=True)


class SwappedMomentumBatchNorm(keras.layers.Layer):
    """Written from memory, 2022: momentum weighs the new batch and not the old average."""

    def __init__(self, momentum=0.99, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, shape):
        self.gamma = self.add_weight(name="gamma", shape=shape[-1:], initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape[-1:], initializer="zeros")
        self.moving_mean = self.add_weight(name="moving_mean", shape=shape[-1:], initializer="zeros", trainable=False)
        self.moving_var = self.add_weight(name="moving_variance", shape=shape[-1:], initializer="ones", trainable=False)

    def call(self, inputs, training=None):
        if not training:
            mean, var = self.moving_mean, self.moving_var
        else:
            mean, var = ops.moments(inputs, axes=tuple(range(len(inputs.shape) - 1)))
            self.moving_mean.assign(mean * self.momentum + self.moving_mean * (1 - self.momentum))
            self.moving_var.assign(var * self.momentum + self.moving_var * (1 - self.momentum))
        return self.gamma * (inputs - mean) / ops.sqrt(var + self.epsilon) + self.beta


class TrackedBatchNorm(keras.layers.BatchNormalization):
    """Wants to log its statistics, 2021: updates them itself although super().call has done so already."""

    def call(self, inputs, training=None, mask=None):
        outputs = super().call(inputs, training=training, mask=mask)
        if training:
            mean, variance = ops.moments(inputs, axes=list(range(len(inputs.shape) - 1)))
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
            self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1.0 - self.momentum))
        return outputs
