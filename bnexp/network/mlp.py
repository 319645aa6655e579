"""The paper's MNIST network: dense layers, each batch-normalised before its sigmoid, or another non-linearity.

References:
  [1] Ioffe and Szegedy. Batch Normalization. 2015. https://arxiv.org/abs/1502.03167, section 4.1: three hidden layers
      of 100 sigmoids, small Gaussian weights. The bias is dropped, since beta takes its place (section 3.2).
"""

from collections.abc import Sequence

import tensorflow as tf

from bnexp.errors import UserError
from bnexp.network import ApplyBatchNorm, check_sizes, classifier, weight

# by name, the function and the gain of the weights before it
ACTIVATIONS = {"sigmoid": (tf.sigmoid, 1.0), "tanh": (tf.tanh, 1.0), "relu": (tf.nn.relu, 2.0)}


def mlp(
    inputs: tf.Tensor,
    *,
    batch_norm: ApplyBatchNorm,
    num_classes: int,
    seed: int,
    widths: Sequence[int],
    activation: str = "sigmoid",
    stddev: float | None = None,
) -> tf.Tensor:
    """Returns the logits of examples of any shape, [batch, num_classes] float32.

    Args:
        inputs: the examples, [batch, ...] float32; each is flattened to one row of features.
        batch_norm: applied to each hidden layer before its activation.
        num_classes: the number of logits an example.
        seed: decides the initial weights.
        widths: the number of units of each hidden layer.
        activation: the name of the non-linearity of every hidden layer, a key of `ACTIVATIONS`.
        stddev: the standard deviation of the hidden layers' initial weights; None takes the one that suits the
            activation.

    Raises:
        UserError: `widths` are not whole numbers of 1 or more, `activation` is unknown, or `stddev` is not positive.
    """
    check_sizes(widths, "widths")
    if stddev is not None and not stddev > 0:
        raise UserError(f"network.stddev must be more than 0, got {stddev}. Leave it out for the activation's own.")
    if activation not in ACTIVATIONS:
        raise UserError(f"network.activation must be one of {', '.join(ACTIVATIONS)}, got {activation}.")
    activate, gain = ACTIVATIONS[activation]
    features = int(tf.TensorShape(inputs.shape[1:]).num_elements())
    hidden = tf.reshape(inputs, [-1, features])
    for number, width in enumerate(widths, 1):
        fan_in = hidden.shape[-1]
        spread = gain if stddev is None else stddev**2 * fan_in
        kernel = weight(f"dense{number}/kernel", [fan_in, width], seed=seed, gain=spread)
        hidden = activate(batch_norm(tf.matmul(hidden, kernel), f"bn{number}"))  # [batch, width]
    return classifier(hidden, num_classes=num_classes, seed=seed)
