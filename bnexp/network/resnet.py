"""A CIFAR-style residual network, ResNet-8 as configured: a stem, one two-convolution block a stage, a global average.

References:
  [1] He et al. Deep Residual Learning. 2015. https://arxiv.org/abs/1512.03385, section 4.2 (6n + 2 layers, here n = 1).
      Where a block halves the image, its shortcut is a batch-normalised 1x1 convolution (option B).
"""

from collections.abc import Sequence

import tensorflow as tf

from bnexp.network import ApplyBatchNorm, check_sizes, classifier, weight
from bnexp.network.cnn import require_images


def resnet(
    inputs: tf.Tensor, *, batch_norm: ApplyBatchNorm, num_classes: int, seed: int, filters: Sequence[int]
) -> tf.Tensor:
    """Returns the logits of images, [batch, num_classes] float32.

    Args:
        inputs: the images, [batch, height, width, channels] float32.
        batch_norm: applied to every convolution, a shortcut's too.
        num_classes: the number of logits an image.
        seed: decides the initial weights.
        filters: the output channels of each residual block, the first also those of the stem; every block but the first
            halves height and width.

    Raises:
        UserError: `filters` are not whole numbers of 1 or more, or the examples are not images.
    """
    check_sizes(filters, "filters")
    require_images(inputs, "resnet")

    def conv(hidden: tf.Tensor, name: str, outputs: int, *, size: int = 3, strides: int = 1) -> tf.Tensor:
        kernel = weight(f"{name}/kernel", [size, size, hidden.shape[-1], outputs], seed=seed)
        hidden = tf.nn.conv2d(hidden, kernel, strides=strides, padding="SAME")
        return batch_norm(hidden, f"{name}_bn")

    hidden = tf.nn.relu(conv(inputs, "stem", filters[0]))
    for number, outputs in enumerate(filters, 1):
        strides = 1 if number == 1 else 2
        branch = tf.nn.relu(conv(hidden, f"block{number}_conv1", outputs, strides=strides))
        branch = conv(branch, f"block{number}_conv2", outputs)
        changed = strides != 1 or hidden.shape[-1] != outputs
        shortcut = conv(hidden, f"block{number}_shortcut", outputs, size=1, strides=strides) if changed else hidden
        hidden = tf.nn.relu(branch + shortcut)  # [batch, height / 2**(number - 1), width / ..., outputs]
    return classifier(tf.reduce_mean(hidden, axis=[1, 2]), num_classes=num_classes, seed=seed)
