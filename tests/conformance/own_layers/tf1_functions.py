"""Functions of the TensorFlow 1 years, each with flags, scopes and collections after its author's taste."""

import tensorflow.compat.v1 as tf
from tensorflow.python.training import moving_averages

BN_DECAY = 0.99
BN_EPSILON = 0.001
UPDATE_OPS_COLLECTION = "_update_ops_"

# --- right ------------------------------------------------------------------------------------------------------------


def batch_norm(x, n_out, phase_train, scope="bn", decay=0.9, eps=1e-5):
    """DCGAN imitator, 2016: tf.Variable at each call, gamma drawn from a normal, tf.cond on a fed phase_train."""
    with tf.variable_scope(scope):
        beta = tf.Variable(tf.zeros([n_out]), name="beta")
        gamma = tf.Variable(tf.random_normal([n_out], mean=1.0, stddev=0.02), name="gamma")
        pop_mean = tf.Variable(tf.zeros([n_out]), name="pop_mean", trainable=False)
        pop_var = tf.Variable(tf.ones([n_out]), name="pop_var", trainable=False)
        batch_mean, batch_var = tf.nn.moments(x, list(range(len(x.get_shape()) - 1)), name="moments")

        def train():
            train_mean = tf.assign(pop_mean, pop_mean * decay + batch_mean * (1 - decay))
            train_var = tf.assign(pop_var, pop_var * decay + batch_var * (1 - decay))
            with tf.control_dependencies([train_mean, train_var]):
                return tf.identity(batch_mean), tf.identity(batch_var)

        mean, var = tf.cond(phase_train, train, lambda: (tf.identity(pop_mean), tf.identity(pop_var)))
        return tf.nn.batch_normalization(x, mean, var, beta, gamma, eps)


def resnet_bn(x, is_training):
    """Early ResNet port, 2016: assign_moving_average as it comes (debiasing), in a collection of its own."""
    params_shape = x.get_shape()[-1:]
    beta = tf.get_variable("beta", params_shape, initializer=tf.zeros_initializer())
    gamma = tf.get_variable("gamma", params_shape, initializer=tf.ones_initializer())
    moving_mean = tf.get_variable("moving_mean", params_shape, initializer=tf.zeros_initializer(), trainable=False)
    moving_var = tf.get_variable("moving_variance", params_shape, initializer=tf.ones_initializer(), trainable=False)
    mean, variance = tf.nn.moments(x, list(range(len(x.get_shape()) - 1)))
    update_mean = moving_averages.assign_moving_average(moving_mean, mean, BN_DECAY)
    update_var = moving_averages.assign_moving_average(moving_var, variance, BN_DECAY)
    tf.add_to_collection(UPDATE_OPS_COLLECTION, update_mean)
    tf.add_to_collection(UPDATE_OPS_COLLECTION, update_var)
    mean, variance = tf.cond(is_training, lambda: (mean, variance), lambda: (moving_mean + 0.0, moving_var + 0.0))
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, BN_EPSILON)


def bn_unless_test(Ylogits, is_test, bn_decay=0.98, variance_epsilon=1e-5):
    """Workshop code, 2017: the flag is the other way round, is_test; UPDATE_OPS."""
    dim = int(Ylogits.shape[-1])
    with tf.variable_scope("bn_unless_test"):
        offset = tf.get_variable("offset", [dim], initializer=tf.constant_initializer(0.1))
        m = tf.get_variable("m", [dim], initializer=tf.constant_initializer(0.0), trainable=False)
        v = tf.get_variable("v", [dim], initializer=tf.constant_initializer(1.0), trainable=False)
    if is_test:
        return tf.nn.batch_normalization(Ylogits, m, v, offset, None, variance_epsilon)
    mean, variance = tf.nn.moments(Ylogits, [0] if len(Ylogits.shape) == 2 else [0, 1, 2])
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_sub(m, (m - mean) * (1 - bn_decay)))
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_sub(v, (v - variance) * (1 - bn_decay)))
    return tf.nn.batch_normalization(Ylogits, mean, variance, offset, None, variance_epsilon)


def norm_by_mode(inputs, mode, momentum=0.9, epsilon=1e-3, name="norm"):
    """Estimator's model_fn, 2018: mode is "train", "eval" or "infer"; trainable=False forgotten, which harms nobody."""
    with tf.variable_scope(name, reuse=tf.AUTO_REUSE):
        shape = [inputs.shape[-1]]
        gamma = tf.get_variable("gamma", shape, initializer=tf.ones_initializer())
        beta = tf.get_variable("beta", shape, initializer=tf.zeros_initializer())
        avg_mean = tf.get_variable("avg_mean", shape, initializer=tf.zeros_initializer())
        avg_var = tf.get_variable("avg_var", shape, initializer=tf.ones_initializer())
    if mode == "train":
        mean, var = tf.nn.moments(inputs, list(range(inputs.shape.ndims - 1)))
        updates = [
            avg_mean.assign(momentum * avg_mean + (1 - momentum) * mean),
            avg_var.assign(momentum * avg_var + (1 - momentum) * var),
        ]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(inputs, mean, var, beta, gamma, epsilon)
    if mode not in ("eval", "infer"):
        raise ValueError(f"unknown mode: {mode}")
    return tf.nn.batch_normalization(inputs, avg_mean, avg_var, beta, gamma, epsilon)


def bn_zero_one(x, size, train=1, scope="bn", decay=0.95):
    """Course homework, 2017: train is 1 or 0, a number or an int32 tensor."""
    with tf.variable_scope(scope, reuse=tf.AUTO_REUSE):
        gamma = tf.get_variable("gamma", [size], initializer=tf.constant_initializer(1.0))
        beta = tf.get_variable("beta", [size], initializer=tf.constant_initializer(0.0))
        mu = tf.get_variable("mu", [size], initializer=tf.constant_initializer(0.0), trainable=False)
        sigma2 = tf.get_variable("sigma2", [size], initializer=tf.constant_initializer(1.0), trainable=False)

    def learn():
        batch_mu, batch_sigma2 = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        keep_mu = mu.assign(decay * mu + (1 - decay) * batch_mu)
        keep_sigma2 = sigma2.assign(decay * sigma2 + (1 - decay) * batch_sigma2)
        with tf.control_dependencies([keep_mu, keep_sigma2]):
            return tf.nn.batch_normalization(x, batch_mu, batch_sigma2, beta, gamma, 1e-4)

    return tf.cond(tf.equal(train, 1), learn, lambda: tf.nn.batch_normalization(x, mu, sigma2, beta, gamma, 1e-4))


def bn_relu(is_training, x, name=None, reuse=None, activation_fn=tf.nn.relu):
    """slim's child, 2017: the flag first, the activation inside, default_name for the scope, everything optional."""
    with tf.variable_scope(name, "BatchNorm", [x], reuse=reuse):
        size = x.get_shape().as_list()[-1]
        beta = tf.get_variable("beta", [size], initializer=tf.zeros_initializer())
        moving = [
            tf.get_variable("moving_mean", [size], initializer=tf.zeros_initializer(), trainable=False),
            tf.get_variable("moving_variance", [size], initializer=tf.ones_initializer(), trainable=False),
        ]
        if is_training:
            batch = tf.nn.moments(x, list(range(len(x.shape) - 1)))
            for average, value in zip(moving, batch, strict=True):
                op = moving_averages.assign_moving_average(average, value, 0.9, zero_debias=False)
                tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, op)
            normed = tf.nn.batch_normalization(x, *batch, beta, None, 1e-3)
        else:
            normed = tf.nn.batch_normalization(x, *moving, beta, None, 1e-3)
        return activation_fn(normed) if activation_fn is not None else normed


# --- broken -----------------------------------------------------------------------------------------------------------


def late_dependency(name, x, training, reuse=None, decay=0.9, epsilon=1e-5):
    """Name first, 2016: the tensor is made before the control_dependencies block that only returns it."""
    with tf.variable_scope(name, reuse=reuse):
        n = x.get_shape().as_list()[-1]
        gamma = tf.get_variable("gamma", [n], initializer=tf.ones_initializer())
        beta = tf.get_variable("beta", [n], initializer=tf.zeros_initializer())
        mean = tf.get_variable("mean", [n], initializer=tf.zeros_initializer(), trainable=False)
        var = tf.get_variable("var", [n], initializer=tf.ones_initializer(), trainable=False)
        if not training:
            return tf.nn.batch_normalization(x, mean, var, beta, gamma, epsilon)
        batch_mean, batch_var = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        out = tf.nn.batch_normalization(x, batch_mean, batch_var, beta, gamma, epsilon)
        update_mean = mean.assign(mean * decay + batch_mean * (1 - decay))
        update_var = var.assign(var * decay + batch_var * (1 - decay))
        with tf.control_dependencies([update_mean, update_var]):
            return out


def per_example_norm(x, train=True, name="norm", eps=1e-6):
    """Style transfer, 2017: called batch norm by its users, takes each example's own moments and keeps none."""
    with tf.variable_scope(name, reuse=tf.AUTO_REUSE):
        scale = tf.get_variable("scale", [x.shape[-1]], initializer=tf.random_normal_initializer(1.0, 0.02))
        shift = tf.get_variable("shift", [x.shape[-1]], initializer=tf.zeros_initializer())
        mean, var = tf.nn.moments(x, [1] if len(x.shape) == 2 else [1, 2], keepdims=True)
        return scale * (x - mean) * tf.rsqrt(var + eps) + shift


def smoothed_norm(x, train, num_features, momentum=0.9, epsilon=1e-3, scope="smoothed"):
    """Against noisy batches, 2016: updates the averages and then normalises with them, in training as well."""
    with tf.variable_scope(scope, reuse=tf.AUTO_REUSE):
        beta = tf.get_variable("beta", [num_features], initializer=tf.zeros_initializer())
        mean = tf.get_variable("mean", [num_features], initializer=tf.zeros_initializer(), trainable=False)
        var = tf.get_variable("var", [num_features], initializer=tf.ones_initializer(), trainable=False)
        updates = []
        if train:
            batch_mean, batch_var = tf.nn.moments(x, list(range(len(x.shape) - 1)))
            updates.append(tf.assign(mean, momentum * mean + (1 - momentum) * batch_mean))
            updates.append(tf.assign(var, momentum * var + (1 - momentum) * batch_var))
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(x, tf.identity(mean), tf.identity(var), beta, None, epsilon)


def flagless(x, scope="bn"):
    """Paper read up to section 3.1, 2015: no flag, the batch's moments always, no averages."""
    with tf.variable_scope(scope, reuse=tf.AUTO_REUSE):
        scale = tf.get_variable("scale", [x.get_shape()[-1]], initializer=tf.ones_initializer())
        offset = tf.get_variable("offset", [x.get_shape()[-1]], initializer=tf.zeros_initializer())
        mean, var = tf.nn.moments(x, list(range(len(x.get_shape()) - 1)))
        return tf.nn.batch_normalization(x, mean, var, offset, scale, 1e-5)


def pooled_channels(x, dim, is_training, reuse=False, decay=0.95, eps=1e-5):
    """Axes miscounted, 2017: moments over every axis, the channels' too, so one mean and variance for all of them."""
    with tf.variable_scope("bn", reuse=reuse):
        gamma = tf.get_variable("gamma", [dim], initializer=tf.ones_initializer())
        beta = tf.get_variable("beta", [dim], initializer=tf.zeros_initializer())
        ema_mean = tf.get_variable("ema_mean", [dim], initializer=tf.zeros_initializer(), trainable=False)
        ema_var = tf.get_variable("ema_var", [dim], initializer=tf.ones_initializer(), trainable=False)
    if not is_training:
        return tf.nn.batch_normalization(x, ema_mean, ema_var, beta, gamma, eps)
    mean, var = tf.nn.moments(x, list(range(len(x.shape))))
    set_mean = ema_mean.assign(decay * ema_mean + (1 - decay) * mean)
    set_var = ema_var.assign(decay * ema_var + (1 - decay) * var)
    with tf.control_dependencies([set_mean, set_var]):
        return tf.nn.batch_normalization(x, mean, var, beta, gamma, eps)


def wrong_way(x, is_training, scope, reuse=None, bn_decay=0.99):
    """Signs confused, 2018: assign_sub of (batch - average), so that the averages run away from the batches."""
    with tf.variable_scope(scope, reuse=reuse):
        n = x.shape[-1]
        beta = tf.get_variable("beta", n, initializer=tf.zeros_initializer())
        mean = tf.get_variable("moving_mean", n, initializer=tf.zeros_initializer(), trainable=False)
        var = tf.get_variable("moving_variance", n, initializer=tf.ones_initializer(), trainable=False)
        if not is_training:
            return tf.nn.batch_normalization(x, mean, var, beta, None, 1e-3)
        batch_mean, batch_var = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_sub(mean, (1 - bn_decay) * (batch_mean - mean)))
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_sub(var, (1 - bn_decay) * (batch_var - var)))
        return tf.nn.batch_normalization(x, batch_mean, batch_var, beta, None, 1e-3)
