"""What replaces the parts of TensorFlow and Keras that are gone, for the very errors that they raise today."""

import pytest

from bnexp.config.gone import replacement

SETUP = """
import keras
import tensorflow as tf
from keras import backend as K
v1 = tf.compat.v1
x = tf.zeros([2, 3])
layer = keras.layers.Layer()
"""

# line of public code -> part of what replaces it
LINES = {
    "tf.contrib.layers.batch_norm(x)": "take tf.keras.layers.BatchNormalization; variant=contrib and variant=slim",
    "from tensorflow.contrib import slim": "take tf.keras.layers.BatchNormalization; variant=contrib and variant=slim",
    "import tf_slim as slim": "take tf.keras.layers.BatchNormalization; variant=contrib and variant=slim",
    "tf.layers.batch_normalization(x)": "tf.layers is gone with Keras 3: take tf.keras.layers",
    "v1.layers.batch_normalization(x)": "tf.layers is gone with Keras 3: take tf.keras.layers",
    "from keras.engine import Layer, InputSpec": "write `from keras.layers import Layer, InputSpec`",
    "from keras.engine.topology import InputSpec": "write `from keras.layers import Layer, InputSpec`",
    "from tensorflow.keras.engine import x": "write `from keras.layers import Layer, InputSpec`",
    "from keras.layers.normalization import BatchNormalization": "write `from keras.layers import Layer, InputSpec`",
    "layer.add_update([x], x)": "add_update is gone: in Keras 3 a layer assigns in call()",
    "layer.updates": "add_update is gone: in Keras 3 a layer assigns in call()",
    "K.in_train_phase(x, x)": "most of keras.backend is gone: take keras.ops",
    "K.moving_average_update(x, x, 0.9)": "most of keras.backend is gone: take keras.ops",
    "keras.backend.learning_phase()": "most of keras.backend is gone: take keras.ops",
    "v1.placeholder(tf.float32)": "make it inside the function, and take the training flag as an argument",
    "import tflearn": "install that package, or take the layer out of it",
    "import sonnet as snt": "install that package, or take the layer out of it",
    **{
        line: "this is TensorFlow 1's interface: write `import tensorflow.compat.v1 as tf`"
        for line in (
            "tf.get_variable('gamma', [3])",
            "tf.variable_scope('bn')",
            "tf.placeholder(tf.float32)",
            "tf.assign(x, x)",
            "tf.get_collection(tf.GraphKeys.UPDATE_OPS)",
            "tf.Session()",
            "tf.random_normal([3])",
            "tf.constant_initializer(0.0) + tf.truncated_normal_initializer(0.1)",
            "tf.AUTO_REUSE",
        )
    },
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_public_code_gets_its_replacement(line):
    space = {}
    exec(SETUP, space)
    with pytest.raises(Exception) as caught:  # noqa: PT011  (of every type)
        exec(line, space)
    assert LINES[line] in replacement(f"{type(caught.value).__name__}: {caught.value}\n{line}")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "ValueError: Shapes (3,) and (4,) are incompatible\nreturn gamma * x",
        "KeyError: 'missing'\nreturn {}['missing']",
        "AttributeError: module 'tensorflow' has no attribute 'no_such_thing'",
        "ModuleNotFoundError: No module named 'my_own_helpers'",
        "TypeError: layer() missing 1 required positional argument: 'size'",
    ],
)
def test_an_error_about_nothing_that_is_gone_gets_none(words):
    assert replacement(words) == ""


def test_the_line_tells_where_the_words_do_not():
    words = "AttributeError: 'NoneType' object has no attribute 'shape'"
    assert replacement(words) == ""
    assert "take keras.ops" in replacement(f"{words}\nmean = K.mean(x, axis=0)")
