"""tf.Modules as people write them, some for TensorFlow 2, some half way from 1 to 2."""

import tensorflow as tf

# --- right ------------------------------------------------------------------------------------------------------------


class BatchNorm(tf.Module):
    """The guide's tf.Module, 2019: number of features given, variables at construction."""

    def __init__(self, num_features, decay=0.99, eps=1e-3, name="batch_norm"):
        super().__init__(name=name)
        self.decay, self.eps = decay, eps
        self.gamma = tf.Variable(tf.ones([num_features]), name="gamma")
        self.beta = tf.Variable(tf.zeros([num_features]), name="beta")
        self.mean = tf.Variable(tf.zeros([num_features]), trainable=False, name="mean")
        self.var = tf.Variable(tf.ones([num_features]), trainable=False, name="var")

    def __call__(self, x, is_training):
        if not is_training:
            return tf.nn.batch_normalization(x, self.mean, self.var, self.beta, self.gamma, self.eps)
        mean, var = tf.nn.moments(x, axes=list(range(x.shape.rank - 1)))
        ops = [
            self.mean.assign_sub((1.0 - self.decay) * (self.mean - mean)),
            self.var.assign_sub((1.0 - self.decay) * (self.var - var)),
        ]
        with tf.control_dependencies(ops):
            return tf.nn.batch_normalization(x, mean, var, self.beta, self.gamma, self.eps)


class ScopedNorm(tf.Module):
    """Sonnet 2's manner, 2020: variables at the first call, in a name scope; keepdims; offset and scale optional."""

    def __init__(self, create_scale=True, create_offset=True, decay_rate=0.999, eps=1e-5, name=None):
        super().__init__(name)
        self._scale, self._offset = create_scale, create_offset
        self._rate, self._eps = decay_rate, eps
        self._made = False

    def _make(self, channels):
        self.moving_mean = tf.Variable(tf.zeros(channels), trainable=False, name="moving_mean")
        self.moving_variance = tf.Variable(tf.ones(channels), trainable=False, name="moving_variance")
        self.scale = tf.Variable(tf.ones(channels), name="scale") if self._scale else None
        self.offset = tf.Variable(tf.zeros(channels), name="offset") if self._offset else None
        self._made = True

    @tf.Module.with_name_scope
    def __call__(self, inputs, is_training):
        if not self._made:
            self._make([1] * (len(inputs.shape) - 1) + [inputs.shape[-1]])
        mean, variance, waits = self.moving_mean, self.moving_variance, []
        if is_training:
            mean, variance = tf.nn.moments(inputs, list(range(len(inputs.shape) - 1)), keepdims=True)
            pairs = (self.moving_mean, mean), (self.moving_variance, variance)
            waits = [v.assign(self._rate * v + (1 - self._rate) * batch) for v, batch in pairs]
        with tf.control_dependencies(waits):
            return tf.nn.batch_normalization(inputs, mean, variance, self.offset, self.scale, self._eps)


class TrainingInTheConstructor(tf.Module):
    """Half migrated, 2018: one object a network, each told at birth whether it trains; get_variable shares them."""

    def __init__(self, num_features, training, momentum=0.95, name="bn"):
        super().__init__(name=name)
        v1 = tf.compat.v1
        self.training, self.momentum = training, momentum
        with v1.variable_scope(name, reuse=v1.AUTO_REUSE):
            zeros, ones = tf.zeros_initializer(), tf.ones_initializer()
            self.beta = v1.get_variable("beta", [num_features], initializer=zeros)
            self.mean = v1.get_variable("mean", [num_features], initializer=zeros, trainable=False)
            self.variance = v1.get_variable("variance", [num_features], initializer=ones, trainable=False)

    def __call__(self, x):
        mean, variance = self.mean, self.variance
        update = tf.no_op()
        if self.training:
            mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
            update = tf.group(
                self.mean.assign(self.mean * self.momentum + mean * (1 - self.momentum)),
                self.variance.assign(self.variance * self.momentum + variance * (1 - self.momentum)),
            )
        with tf.control_dependencies([update]):
            return (x - mean) / tf.sqrt(variance + 1e-3) + self.beta


class BatchNorm2d(tf.Module):
    """Comes from PyTorch, 2021: its names, its momentum 0.1 (the weight of the new batch), affine, **kwargs."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, **kwargs):
        super().__init__(**kwargs)
        self.eps, self.momentum = eps, momentum
        self.weight = tf.Variable(tf.ones([num_features]), name="weight") if affine else None
        self.bias = tf.Variable(tf.zeros([num_features]), name="bias") if affine else None
        self.running_mean = tf.Variable(tf.zeros([num_features]), trainable=False, name="running_mean")
        self.running_var = tf.Variable(tf.ones([num_features]), trainable=False, name="running_var")

    def forward(self, x, training):
        if not training:
            return tf.nn.batch_normalization(x, self.running_mean, self.running_var, self.bias, self.weight, self.eps)
        mean, var = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        new_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
        new_var = (1 - self.momentum) * self.running_var + self.momentum * var
        with tf.control_dependencies([self.running_mean.assign(new_mean), self.running_var.assign(new_var)]):
            return tf.nn.batch_normalization(x, mean, var, self.bias, self.weight, self.eps)

    def __call__(self, x, training=False, **kwargs):
        return self.forward(x, training, **kwargs)


# --- broken -----------------------------------------------------------------------------------------------------------


class ForgetsItIsBuilt(tf.Module):
    """Variables at the first call, 2020: but `built` is never set, so every call makes its own."""

    def __init__(self, decay=0.9, epsilon=1e-5):
        super().__init__()
        self.decay, self.epsilon, self.built = decay, epsilon, False

    def __call__(self, x, training):
        if not self.built:
            self.moving_mean = tf.Variable(tf.zeros([x.shape[-1]]), trainable=False)
            self.moving_var = tf.Variable(tf.ones([x.shape[-1]]), trainable=False)
        if not training:
            return tf.nn.batch_normalization(x, self.moving_mean, self.moving_var, None, None, self.epsilon)
        mean, var = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        first = self.moving_mean.assign(self.decay * self.moving_mean + (1 - self.decay) * mean)
        second = self.moving_var.assign(self.decay * self.moving_var + (1 - self.decay) * var)
        with tf.control_dependencies([first, second]):
            return tf.nn.batch_normalization(x, mean, var, None, None, self.epsilon)


class UpdatesWhateverTheFlag(tf.Module):
    """Tidied up, 2019: the update was moved out of the `if`, so predicting moves the averages as well."""

    def __init__(self, num_features, decay=0.99, eps=1e-3):
        super().__init__()
        self.decay, self.eps = decay, eps
        self.gamma = tf.Variable(tf.ones(num_features))
        self.moving_mean = tf.Variable(tf.zeros(num_features), trainable=False)
        self.moving_var = tf.Variable(tf.ones(num_features), trainable=False)

    def __call__(self, x, is_training=False):
        mean, var = tf.nn.moments(x, list(range(x.shape.rank - 1)))
        old_mean, old_var = tf.identity(self.moving_mean), tf.identity(self.moving_var)
        used = (mean, var) if is_training else (old_mean, old_var)
        update_mean = self.moving_mean.assign(old_mean * self.decay + mean * (1 - self.decay))
        update_var = self.moving_var.assign(old_var * self.decay + var * (1 - self.decay))
        with tf.control_dependencies([update_mean, update_var]):
            return tf.nn.batch_normalization(x, *used, None, self.gamma, self.eps)


class EpsilonOutside(tf.Module):
    """By hand, 2022: adds epsilon to the standard deviation, outside the root."""

    def __init__(self, dim, momentum=0.99, epsilon=1e-3, name=None):
        super().__init__(name=name)
        self.momentum, self.epsilon = momentum, epsilon
        with self.name_scope:
            self.gamma = tf.Variable(tf.ones([dim]), name="gamma")
            self.beta = tf.Variable(tf.zeros([dim]), name="beta")
            self.mean = tf.Variable(tf.zeros([dim]), trainable=False, name="running_mean")
            self.var = tf.Variable(tf.ones([dim]), trainable=False, name="running_var")

    def _normalize(self, x, mean, var):
        return self.gamma * (x - mean) / (tf.sqrt(var) + self.epsilon) + self.beta

    def __call__(self, x, training):
        if not training:
            return self._normalize(x, self.mean, self.var)
        mean, var = tf.nn.moments(x, list(range(x.shape.rank - 1)))
        up_mean = self.mean.assign(self.momentum * self.mean + (1 - self.momentum) * mean)
        up_var = self.var.assign(self.momentum * self.var + (1 - self.momentum) * var)
        with tf.control_dependencies([up_mean, up_var]):
            return self._normalize(x, mean, var)
