"""A small convolutional network: 3x3 convolutions, each batch-normalised before its ReLU, then a global average."""

from collections.abc import Sequence

import tensorflow as tf

from bnexp.errors import UserError
from bnexp.network import ApplyBatchNorm, check_sizes, classifier, weight


def cnn(
    inputs: tf.Tensor, *, batch_norm: ApplyBatchNorm, num_classes: int, seed: int, filters: Sequence[int]
) -> tf.Tensor:
    """Returns the logits of images, [batch, num_classes] float32.

    Args:
        inputs: the images, [batch, height, width, channels] float32.
        batch_norm: applied to each convolution before its ReLU.
        num_classes: the number of logits an image.
        seed: decides the initial weights.
        filters: the output channels of each convolution; every convolution but the first halves height and width.

    Raises:
        UserError: `filters` are not whole numbers of 1 or more, or the examples are not images.
    """
    check_sizes(filters, "filters")
    require_images(inputs, "cnn")
    hidden = inputs
    for number, outputs in enumerate(filters, 1):
        kernel = weight(f"conv{number}/kernel", [3, 3, hidden.shape[-1], outputs], seed=seed)
        hidden = tf.nn.conv2d(hidden, kernel, strides=1 if number == 1 else 2, padding="SAME")
        hidden = tf.nn.relu(batch_norm(hidden, f"bn{number}"))  # [batch, height, width, outputs]
    return classifier(tf.reduce_mean(hidden, axis=[1, 2]), num_classes=num_classes, seed=seed)


def require_images(inputs: tf.Tensor, network: str) -> None:
    """Raises UserError unless `inputs` are [batch, height, width, channels]."""
    if len(inputs.shape) != 4:
        raise UserError(
            f"network={network} takes images [height, width, channels], but the dataset's examples have the shape "
            f"{list(inputs.shape[1:])}. Take network=mlp, or a dataset of images."
        )
