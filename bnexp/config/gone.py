"""What replaces the parts of TensorFlow and Keras that public code still names and that are gone."""

import re
import sys

_V1 = "write `import tensorflow.compat.v1 as tf`"
_ASSIGN = "in Keras 3 a layer assigns in call(): self.moving_mean.assign(...)"

# pattern in an error's words or in the line that raised it -> what replaces what it names; the first that fits counts
_GONE: tuple[tuple[str, str], ...] = (
    (
        r"\bcontrib\b|tf_slim|\bslim\b",
        "tf.contrib is gone since TensorFlow 2.0, and tf_slim does not run with this one: take "
        "tf.keras.layers.BatchNormalization; variant=contrib and variant=slim do what the old layers did",
    ),
    (
        r"batch_normalization.{0,60}Keras 3|tf\.layers|'layers'|compat\.v1\.layers|v1'? has no attribute 'layers",
        "tf.layers is gone with Keras 3: take tf.keras.layers, whose BatchNormalization is called with training=; "
        "variant=update_ops does what tf.layers.batch_normalization did",
    ),
    (
        r"keras\.(src\.)?engine|keras\.legacy|keras\.layers\.(normalization|core|convolutional)|"
        r"tensorflow\.python\.keras|tensorflow_core|cannot import name '(InputSpec|Layer)' from 'keras\.engine",
        "keras.engine and the modules beside it are gone: write `from keras.layers import Layer, InputSpec` and "
        "`from keras import initializers, regularizers, constraints`",
    ),
    (
        r"not compatible with eager execution",
        "the module makes a part of a graph when it is imported: make it inside the function, and take the training "
        "flag as an argument",
    ),
    (r"add_update|'updates'", f"add_update is gone: {_ASSIGN}"),
    (
        r"moving_average_update|normalize_batch_in_training|in_train_phase|\bK\.|keras\.backend|"
        r"keras\.api\.backend|keras\._tf_keras\.keras\.backend",
        f"most of keras.backend is gone: take keras.ops (ops.mean, ops.var, ops.where); {_ASSIGN}",
    ),
    (r"add_weight\(\) got multiple values|add_variable|unexpected keyword argument 'aggregation", _ASSIGN),
    (
        r"ExponentialMovingAverage\b.*has no attribute|has no attribute 'ExponentialMovingAverage'",
        f"ExponentialMovingAverage stands in tf.compat.v1.train for graphs as well: {_V1}",
    ),
    (
        r"No module named '(sonnet|tensorlayer|tflearn|lasagne|theano|tensorpack)",
        "install that package, or take the layer out of it",
    ),
)


def replacement(words: str) -> str:
    """Returns what replaces the dead module or function that an error is about; empty if it is about none.

    Args:
        words: the error's type and message, and the line of code that raised it.

    Example:
        >>> replacement("AttributeError: module 'tensorflow' has no attribute 'get_variable'")
        "this is TensorFlow 1's interface: write `import tensorflow.compat.v1 as tf`"
        >>> replacement("ValueError: Shapes (3,) and (4,) are incompatible")
        ''
    """
    known = next((cure for pattern, cure in _GONE if re.search(pattern, words)), "")
    missing = re.search(r"module 'tensorflow(?:\.\w+)*' has no attribute '(\w+)'", words)
    tensorflow = sys.modules.get("tensorflow")
    if not known and missing and tensorflow is not None and hasattr(tensorflow.compat.v1, missing[1]):
        return f"this is TensorFlow 1's interface: {_V1}"
    return known
