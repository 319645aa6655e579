"""The paper's MNIST network: dense layers, each batch-normalised before its sigmoid.

References:
  [1] Ioffe and Szegedy. Batch Normalization. 2015. https://arxiv.org/abs/1502.03167, section 4.1: three hidden layers
      of 100 sigmoids, small Gaussian weights. The bias is dropped, since beta takes its place (section 3.2).
"""

from collections.abc import Sequence

import tensorflow as tf

from bnexp.network import ApplyBatchNorm, classifier, weight


def mlp(
    inputs: tf.Tensor, *, batch_norm: ApplyBatchNorm, num_classes: int, seed: int, widths: Sequence[int]
) -> tf.Tensor:
    """Returns logits [batch, num_classes] of `inputs` [batch, ...], flattened."""
    features = int(tf.TensorShape(inputs.shape[1:]).num_elements())
    hidden = tf.reshape(inputs, [-1, features])
    for number, width in enumerate(widths, 1):
        kernel = weight(f"dense{number}/kernel", [hidden.shape[-1], width], seed=seed, gain=1.0)
        hidden = tf.sigmoid(batch_norm(tf.matmul(hidden, kernel), f"bn{number}"))  # [batch, width]
    return classifier(hidden, num_classes=num_classes, seed=seed)
