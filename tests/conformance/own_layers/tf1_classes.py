"""Classes of the TensorFlow 1 years, with the op lists and assigners that their users had to remember to run."""

import tensorflow.compat.v1 as tf


def _axes(x):
    return list(range(len(x.get_shape()) - 1))


# --- right ------------------------------------------------------------------------------------------------------------


class batch_norm:
    """DCGAN's class without contrib, 2017: lower case, momentum, variables by scope, train=True."""

    def __init__(self, epsilon=1e-5, momentum=0.9, name="batch_norm"):
        self.epsilon = epsilon
        self.momentum = momentum
        self.name = name

    def __call__(self, x, train=True):
        with tf.variable_scope(self.name, reuse=tf.AUTO_REUSE):
            shape = [x.get_shape()[-1]]
            gamma = tf.get_variable("gamma", shape, initializer=tf.random_normal_initializer(1.0, 0.02))
            beta = tf.get_variable("beta", shape, initializer=tf.constant_initializer(0.0))
            mean = tf.get_variable("mean", shape, initializer=tf.constant_initializer(0.0), trainable=False)
            var = tf.get_variable("var", shape, initializer=tf.constant_initializer(1.0), trainable=False)
            if not train:
                return tf.nn.batch_normalization(x, mean, var, beta, gamma, self.epsilon)
            batch_mean, batch_var = tf.nn.moments(x, _axes(x), name="moments")
            update_mean = mean.assign(self.momentum * mean + (1 - self.momentum) * batch_mean)
            update_var = var.assign(self.momentum * var + (1 - self.momentum) * batch_var)
            with tf.control_dependencies([update_mean, update_var]):
                return tf.nn.batch_normalization(x, batch_mean, batch_var, beta, gamma, self.epsilon)


class Normalizer:
    """Blog of 2016: depth given, normalize(x, train), and get_assigner() that the train op has to wait for."""

    def __init__(self, name, depth, epsilon=1e-3, decay=0.99):
        self.mean = tf.Variable(tf.zeros([depth]), trainable=False, name=name + "_mean")
        self.variance = tf.Variable(tf.ones([depth]), trainable=False, name=name + "_variance")
        self.beta = tf.Variable(tf.zeros([depth]), name=name + "_beta")
        self.gamma = tf.Variable(tf.ones([depth]), name=name + "_gamma")
        self.epsilon, self.decay = epsilon, decay
        self._assigner = None

    def get_assigner(self):
        return self._assigner

    def normalize(self, x, train=True):
        if not train:
            return tf.nn.batch_normalization(x, self.mean, self.variance, self.beta, self.gamma, self.epsilon)
        mean, variance = tf.nn.moments(x, _axes(x))
        self._assigner = tf.group(
            self.mean.assign_sub((1 - self.decay) * (self.mean - mean)),
            self.variance.assign_sub((1 - self.decay) * (self.variance - variance)),
        )
        return tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, self.epsilon)

    def __call__(self, x, train=True):
        return self.normalize(x, train)


class BatchNormalization:
    """Theano emigrant, 2016: input_dim at birth, tensors in, self.updates out, test-time as another method."""

    def __init__(self, input_dim, momentum=0.9, epsilon=1e-6):
        self.momentum, self.epsilon = momentum, epsilon
        self.gamma = tf.Variable(tf.random_uniform([input_dim], 0.9, 1.1))
        self.beta = tf.Variable(tf.zeros([input_dim]))
        self.running_mean = tf.Variable(tf.zeros([input_dim]), trainable=False)
        self.running_std2 = tf.Variable(tf.ones([input_dim]), trainable=False)
        self.params = [self.gamma, self.beta]
        self.updates = []

    def get_output(self, X, train):
        return self._train(X) if train else self._normed(X, self.running_mean, self.running_std2)

    def _train(self, X):
        m = tf.reduce_mean(X, _axes(X))
        s2 = tf.reduce_mean(tf.square(X - m), _axes(X))
        self.updates.append(tf.assign(self.running_mean, self.momentum * self.running_mean + (1 - self.momentum) * m))
        self.updates.append(tf.assign(self.running_std2, self.momentum * self.running_std2 + (1 - self.momentum) * s2))
        return self._normed(X, m, s2)

    def _normed(self, X, m, s2):
        return self.gamma * ((X - m) / tf.sqrt(s2 + self.epsilon)) + self.beta

    __call__ = get_output


def bn_with_update(x, is_training, size, scope="bn", decay=0.95, epsilon=1e-4):
    """Not a class but one of its kind, 2017: returns the output and the op that moves the averages."""
    with tf.variable_scope(scope, reuse=tf.AUTO_REUSE):
        beta = tf.get_variable("beta", [size], initializer=tf.zeros_initializer())
        mean = tf.get_variable("mean", [size], initializer=tf.zeros_initializer(), trainable=False)
        var = tf.get_variable("var", [size], initializer=tf.ones_initializer(), trainable=False)
    if not is_training:
        return tf.nn.batch_normalization(x, mean, var, beta, None, epsilon), tf.no_op()
    m, v = tf.nn.moments(x, _axes(x))
    update_op = tf.group(mean.assign(decay * mean + (1 - decay) * m), var.assign(decay * var + (1 - decay) * v))
    return tf.nn.batch_normalization(x, m, v, beta, None, epsilon), update_op


# --- broken -----------------------------------------------------------------------------------------------------------


class DropsItsOps:
    """Refactored, 2017: _update returns its ops and the caller does not take them."""

    def __init__(self, name, size, decay=0.9):
        self.name, self.decay = name, decay
        with tf.variable_scope(name):
            self.beta = tf.get_variable("beta", [size], initializer=tf.zeros_initializer())
            self.mean = tf.get_variable("mean", [size], initializer=tf.zeros_initializer(), trainable=False)
            self.var = tf.get_variable("var", [size], initializer=tf.ones_initializer(), trainable=False)

    def _update(self, mean, var):
        keep = self.decay
        return tf.assign(self.mean, keep * self.mean + (1 - keep) * mean), tf.assign(
            self.var, keep * self.var + (1 - keep) * var
        )

    def __call__(self, x, train):
        mean, var = self.mean, self.var
        if train:
            mean, var = tf.nn.moments(x, _axes(x))
            self._update(mean, var)
        return tf.nn.batch_normalization(x, mean, var, self.beta, None, 1e-5)


class BeltAndBraces:
    """To be on the safe side, 2018: updates under control_dependencies, and once more in self.update_ops."""

    def __init__(self, name="bn", momentum=0.9, epsilon=1e-5):
        self.name, self.momentum, self.epsilon = name, momentum, epsilon
        self.update_ops = []

    def __call__(self, x, is_training):
        with tf.variable_scope(self.name, reuse=tf.AUTO_REUSE):
            shape = x.shape[-1:]
            self.gamma = tf.get_variable("gamma", shape, initializer=tf.ones_initializer())
            self.mean = tf.get_variable("moving_mean", shape, initializer=tf.zeros_initializer(), trainable=False)
            self.var = tf.get_variable("moving_var", shape, initializer=tf.ones_initializer(), trainable=False)
        if not is_training:
            return tf.nn.batch_normalization(x, self.mean, self.var, None, self.gamma, self.epsilon)
        mean, var = tf.nn.moments(x, _axes(x))
        with tf.control_dependencies(self._moving(mean, var)):
            self.update_ops += self._moving(mean, var)
            return tf.nn.batch_normalization(x, mean, var, None, self.gamma, self.epsilon)

    def _moving(self, mean, var):
        a = self.momentum
        return [self.mean.assign(a * self.mean + (1 - a) * mean), self.var.assign(a * self.var + (1 - a) * var)]


class RootForgotten:
    """By hand, 2016: divides by the variance and not by its root; keeps its ops in self.train_ops."""

    def __init__(self, name, num_features, decay=0.99, eps=1e-3):
        self.decay, self.eps, self.train_ops = decay, eps, []
        self.gamma = tf.Variable(tf.ones([num_features]), name=name + "/gamma")
        self.beta = tf.Variable(tf.zeros([num_features]), name=name + "/beta")
        self.mean = tf.Variable(tf.zeros([num_features]), trainable=False, name=name + "/mean")
        self.var = tf.Variable(tf.ones([num_features]), trainable=False, name=name + "/var")

    def __call__(self, x, training):
        mean, var = tf.nn.moments(x, _axes(x)) if training else (self.mean, self.var)
        if training:
            self.train_ops.append(self.mean.assign(self.decay * self.mean + (1 - self.decay) * mean))
            self.train_ops.append(self.var.assign(self.decay * self.var + (1 - self.decay) * var))
        return self.gamma * (x - mean) / (var + self.eps) + self.beta
