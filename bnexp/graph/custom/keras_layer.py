"""Keras layers in a TF1-style graph: which objects are, or hold, one, and how what they assign is run.

Keras runs whatever a layer's call does. In a bare graph an assignment that nothing fetches never runs, which would be a
false alarm; inside a tf.function, which Keras itself trains with, it runs.
"""

from collections.abc import Callable
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any

import tensorflow as tf

from bnexp.graph.ancestry import ancestors, bodies_write, is_write

# the types of the ops that call a tf.function
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")

_LIBRARIES = ("keras", "tf_keras")


def is_keras_layer(thing: Any) -> bool:
    """Tells whether an object or a class is a Keras layer or model, of Keras 3 or of tf-keras.

    Args:
        thing: any object, or a class.

    Example:
        >>> is_keras_layer(tf.keras.layers.BatchNormalization), is_keras_layer(tf.Module)
        (True, False)
    """
    bases = (thing if isinstance(thing, type) else type(thing)).__mro__
    return any(base.__name__ == "Layer" and base.__module__.split(".")[0] in _LIBRARIES for base in bases)


def holds_keras_layer(thing: Any) -> bool:
    """Tells whether an object is a Keras layer or has one among its attributes, in a list or a dict there included.

    Args:
        thing: any object.
    """
    held: list[Any] = []
    for value in getattr(thing, "__dict__", {}).values():
        held += value if isinstance(value, list | tuple) else value.values() if isinstance(value, dict) else [value]
    return is_keras_layer(thing) or any(is_keras_layer(value) for value in held if not isinstance(value, type))


def model_of(function: Callable[[Any], Any], shape: tuple[int | None, ...]) -> Any:
    """Makes a Keras model of a function that makes and calls Keras layers, as users of the functional API do.

    Args:
        function: called with a `keras.Input`; returns a Keras tensor.
        shape: the shape of the inputs, [batch, ..., channels].

    Returns:
        The model; None if the function is not one of that kind.
    """
    inputs = tf.keras.Input(shape[1:])
    try:
        outputs = function(inputs)
    except Exception:
        return None  # it calls TensorFlow itself; its own errors show where it is called with tensors
    if not isinstance(outputs, type(inputs)) or outputs is inputs:
        return None
    model = tf.keras.Model(inputs, outputs)
    return model if any(layer.weights for layer in model.layers) else None


def is_of_tensorflow_2(thing: Any) -> bool:
    """Tells whether a layer is written for eager TensorFlow 2, where an assignment runs wherever it stands.

    Such is what does not name v1 in its code, and is a tf.Module or stands in a module that knows TensorFlow 2 alone.

    Args:
        thing: the user's object or function.
    """
    target = thing.func if isinstance(thing, partial) else thing
    functions = [target] if isinstance(target, FunctionType) else _methods_of(type(target))
    if not functions or {name for f in functions for name in _names_in(f.__code__)} & {"compat", "v1"}:
        return False
    known = [value for f in functions for value in f.__globals__.values() if isinstance(value, ModuleType)]
    of_tensorflow_1 = any(module.__name__.endswith("compat.v1") for module in known)
    return isinstance(target, tf.Module) or (tf in known and not of_tensorflow_1)


def _methods_of(kind: type) -> list[FunctionType]:
    """Returns the methods of a class and of its bases, without those of libraries."""
    own = [
        base
        for base in kind.__mro__
        if base.__module__.partition(".")[0] not in (*_LIBRARIES, "tensorflow", "builtins")
    ]
    return [f for base in own for f in vars(base).values() if isinstance(f, FunctionType)]


def _names_in(code: CodeType) -> set[str]:
    """Returns the names that a function's code uses, with those of the functions inside it."""
    return set(code.co_names).union(*(_names_in(const) for const in code.co_consts if isinstance(const, CodeType)))


def run_as_keras_does(call: Callable[..., Any], inputs: tf.Tensor, arguments: dict[str, Any], *, first: bool) -> Any:
    """Calls a layer inside a tf.function, so that what it assigns runs whenever its outputs are needed.

    Args:
        call: the layer.
        inputs: [batch, ..., channels] float32.
        arguments: its other arguments, by name.
        first: whether this is its first call, which makes its variables: outside the function, in the graph itself.
    """
    outputs = None
    if first:
        outputs = call(inputs, **arguments)
        own = ancestors([outputs], fed=[inputs]) if isinstance(outputs, tf.Tensor) else ()
        # its user has done so already. What stands in a branch of a tf.cond alone is pruned in a bare graph
        if any(is_write(op.type) or (op.type in _CALLS and bodies_write(op)) for op in own):
            return outputs
    try:
        return tf.function(partial(call, **arguments), autograph=False)(inputs)
    except ValueError as error:
        if "tf.Variable" not in str(error):
            raise
    # it makes variables at every call, which no tf.function takes
    return call(inputs, **arguments) if outputs is None else outputs
