"""What is peculiar to `frozen`: only the statistics are; gamma and beta are still trained."""

import tensorflow as tf

from bnexp.variant.frozen import BatchNorm

v1 = tf.compat.v1


def test_gamma_and_beta_have_gradients():
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = v1.placeholder(tf.float32, [None, 1])
        outputs = BatchNorm(name="bn", decay=0.9, epsilon=0.21)(inputs, True)
        assert [variable.name for variable in v1.trainable_variables()] == ["bn/gamma:0", "bn/beta:0"]
        gradients = tf.gradients(tf.reduce_sum(outputs), v1.trainable_variables())
        session.run(v1.global_variables_initializer())
        # 11 / sqrt(1.21), and one for each row
        gamma, beta = session.run(gradients, {inputs: [[4.0], [7.0]]})
        assert abs(gamma[0] - 10) < 1e-5
        assert beta[0] == 2
