"""Imports what a `_target_` names; a user's module leaves TensorFlow as bnexp needs it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pkgutil import resolve_name
from typing import Any

from bnexp.config.blame import blame, line_of
from bnexp.errors import UserError, first_line

# what code of TensorFlow 1 calls when it is imported. Graphs are what layers are built in anyway; the rest of these
# would change how TensorFlow runs for everybody
_SWITCHES = (
    "disable_v2_behavior",
    "disable_eager_execution",
    "disable_resource_variables",
    "disable_control_flow_v2",
    "disable_tensor_equality",
    "disable_v2_tensorshape",
)


def import_target(target: str, group: str) -> Callable[..., Any]:
    """Returns the class or function of a full name.

    Args:
        target: the full name, `"mypackage.my_layer.BatchNorm"`.
        group: the config group whose `_target_` it is, for messages.

    Raises:
        UserError: there is no such module or name, or the module raised an exception; the message then has the line of
            it.

    Example:
        >>> import_target("bnexp.network.mlp.mlp", "network").__name__
        'mlp'
    """
    key = f"{group}._target_={target}"
    try:
        with _switches_off(target):
            found = resolve_name(target)
    except Exception as error:
        # a missing module is often a misspelt name; anything else is for the module's author
        missing = isinstance(error, ImportError | AttributeError | ValueError)
        line = line_of(error, target)
        if line is not None:
            raise UserError(blame(error, key, line)) from error
        if not missing:
            raise
        raise UserError(
            f"{key}: cannot be loaded ({first_line(error)}). "
            "Write the full name of a class or function that can be imported."
        ) from error
    if not callable(found):
        raise UserError(f"{key} is {type(found).__name__}, and not a class or function. Write the name of one.")
    return found  # type: ignore[no-any-return]


def call_of_class(kind: Any) -> Callable[..., Any] | None:
    """Returns the method that calling an object of a class runs: a Keras layer's `call`, else `__call__`.

    Args:
        kind: the class; anything else has none.

    Example:
        >>> call_of_class(dict) is None
        True
    """
    bases = getattr(kind, "__mro__", ())
    return next((vars(base)[name] for base in bases for name in ("call", "__call__") if name in vars(base)), None)


@contextmanager
def _switches_off(target: str) -> Iterator[None]:
    """Lets TensorFlow 1's switches do nothing while a user's module is imported."""
    if target.partition(".")[0] in ("bnexp", *sys.builtin_module_names):
        yield
        return
    import tensorflow as tf

    # the module that `import tensorflow.compat.v1` gives is another object than tf.compat.v1 before it
    modules = (tf.compat.v1, import_module("tensorflow.compat.v1"))
    before = [
        (module, name, getattr(module, name)) for module in modules for name in _SWITCHES if hasattr(module, name)
    ]
    for module, name, _ in before:
        setattr(module, name, lambda: None)
    try:
        yield
    finally:
        for module, name, switch in reversed(before):
            setattr(module, name, switch)
