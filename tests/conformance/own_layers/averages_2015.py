"""tf.train.ExponentialMovingAverage and tf.cond, as the answers of 2015 had it, and what people made of them."""

import tensorflow as tf

v1 = tf.compat.v1

# --- right ------------------------------------------------------------------------------------------------------------


def batch_norm_debiased(x, n_out, phase_train, scope="bn", affine=True):
    """The answer of 2015 after a later edit: averages of the tensors themselves, debiased; affine or not."""
    with v1.variable_scope(scope):
        beta = tf.Variable(tf.zeros([n_out]), name="beta", trainable=True)
        gamma = tf.Variable(tf.ones([n_out]), name="gamma", trainable=affine)
        batch_mean, batch_var = tf.nn.moments(x, list(range(len(x.shape) - 1)), name="moments")
        ema = v1.train.ExponentialMovingAverage(decay=0.9, zero_debias=True)

        def mean_var_with_update():
            with tf.control_dependencies([ema.apply([batch_mean, batch_var])]):
                return tf.identity(batch_mean), tf.identity(batch_var)

        mean, var = v1.cond(
            phase_train, mean_var_with_update, lambda: (ema.average(batch_mean), ema.average(batch_var))
        )
        return tf.nn.batch_normalization(x, mean, var, beta, gamma, 1e-3)


def ema_of_variables(x, phase_train, decay=0.95, epsilon=1e-3):
    """Wiki of 2016: the batch's moments go into variables and the ema, over these, waits for that; UPDATE_OPS."""
    channels = x.shape[-1]
    beta = v1.get_variable("beta", [channels], initializer=v1.zeros_initializer())
    batch_mean = v1.get_variable("batch_mean", [channels], initializer=v1.zeros_initializer(), trainable=False)
    batch_var = v1.get_variable("batch_var", [channels], initializer=v1.ones_initializer(), trainable=False)
    mean, var = tf.nn.moments(x, list(range(len(x.shape) - 1)))
    ema = v1.train.ExponentialMovingAverage(decay)
    with tf.control_dependencies([batch_mean.assign(mean), batch_var.assign(var)]):
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, ema.apply([batch_mean, batch_var]))
    used = v1.cond(
        phase_train,
        lambda: (mean, var),
        lambda: (tf.identity(ema.average(batch_mean)), tf.identity(ema.average(batch_var))),
    )
    return tf.nn.batch_normalization(x, *used, beta, None, epsilon)


def counted_batch_norm(logits, is_test, convolutional=False, decay=0.99):
    """Workshop code, 2016: num_updates, with which nothing is left of the start at 0 after a few steps."""
    iteration = tf.Variable(0.0, trainable=False, name="iteration")
    offset = tf.Variable(tf.fill([logits.shape[-1]], 0.1), name="offset")
    ema = v1.train.ExponentialMovingAverage(decay, num_updates=iteration)
    mean, variance = tf.nn.moments(logits, [0, 1, 2] if convolutional else [0])

    def in_training():
        with tf.control_dependencies([ema.apply([mean, variance])]):
            counted = iteration.assign_add(1.0)
        with tf.control_dependencies([counted]):
            return tf.identity(mean), tf.identity(variance)

    def in_test():
        return tf.identity(ema.average(mean)), tf.identity(ema.average(variance))

    m, v = v1.cond(tf.logical_not(is_test), in_training, in_test)
    return tf.nn.batch_normalization(logits, m, v, offset, None, 1e-5)


# --- broken -----------------------------------------------------------------------------------------------------------


def batch_norm(x, n_out, phase_train, scope="bn"):
    """The answer of 2015 as it stood, for images: averages of tensors start at 0, the variance's too."""
    with v1.variable_scope(scope):
        beta = tf.Variable(tf.constant(0.0, shape=[n_out]), name="beta")
        gamma = tf.Variable(tf.constant(1.0, shape=[n_out]), name="gamma")
        batch_mean, batch_var = tf.nn.moments(x, [0, 1, 2], name="moments")
        ema = v1.train.ExponentialMovingAverage(decay=0.9)

        def train():
            ema_apply_op = ema.apply([batch_mean, batch_var])
            with tf.control_dependencies([ema_apply_op]):
                return tf.identity(batch_mean), tf.identity(batch_var)

        def test():
            return ema.average(batch_mean), ema.average(batch_var)

        mean, var = v1.cond(phase_train, train, test)
        return tf.nn.batch_normalization(x, mean, var, beta, gamma, 1e-3)


def applied_in_both(x, size, phase_train, epsilon=1e-3):
    """The answer "improved", 2015: the test branch reads its averages and then goes on averaging, "to adapt"."""
    beta = tf.Variable(tf.zeros([size]), name="beta")
    gamma = tf.Variable(tf.ones([size]), name="gamma")
    mean, var = tf.nn.moments(x, list(range(len(x.shape) - 1)))
    ema = v1.train.ExponentialMovingAverage(decay=0.95, zero_debias=True)

    def train():
        with tf.control_dependencies([ema.apply([mean, var])]):
            return tf.identity(mean), tf.identity(var)

    def test():
        averages = tf.identity(ema.average(mean)), tf.identity(ema.average(var))
        with tf.control_dependencies(averages), tf.control_dependencies([ema.apply([mean, var])]):
            return tf.identity(averages[0]), tf.identity(averages[1])

    m, v = v1.cond(phase_train, train, test)
    return tf.nn.batch_normalization(x, m, v, beta, gamma, epsilon)


def an_ema_each(x, train, scope="bn", reuse=None, bn_decay=0.9):
    """Python flag, 2016: gamma and beta are shared, but each call makes an ema, and so averages, of its own."""
    with v1.variable_scope(scope, reuse=reuse):
        beta = v1.get_variable("beta", [x.shape[-1]], initializer=v1.zeros_initializer())
        gamma = v1.get_variable("gamma", [x.shape[-1]], initializer=v1.ones_initializer())
    mean, var = tf.nn.moments(x, list(range(len(x.shape) - 1)))
    ema = v1.train.ExponentialMovingAverage(bn_decay, zero_debias=True)
    with v1.variable_scope("averages", reuse=v1.AUTO_REUSE):
        apply = ema.apply([mean, var])
    if not train:
        return tf.nn.batch_normalization(x, ema.average(mean), ema.average(var), beta, gamma, 1e-3)
    with tf.control_dependencies([apply]):
        return tf.nn.batch_normalization(x, mean, var, beta, gamma, 1e-3)


def reads_the_last_batch(x, phase_train, decay=0.99, eps=1e-3):
    """Wiki of 2016 misread: the ema is kept well, but inference reads the variables that hold the last batch."""
    n = int(x.shape[-1])
    beta = tf.Variable(tf.zeros([n]), name="beta")
    last_mean = tf.Variable(tf.zeros([n]), trainable=False, name="last_mean")
    last_var = tf.Variable(tf.ones([n]), trainable=False, name="last_var")
    mean, var = tf.nn.moments(x, list(range(len(x.shape) - 1)))
    ema = v1.train.ExponentialMovingAverage(decay)
    with tf.control_dependencies([last_mean.assign(mean), last_var.assign(var)]):
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, ema.apply([last_mean, last_var]))
    m, v = v1.cond(phase_train, lambda: (mean, var), lambda: (tf.identity(last_mean), tf.identity(last_var)))
    return tf.nn.batch_normalization(x, m, v, beta, None, eps)
