"""The training flag of a custom layer: the kinds of value that layers take for it, the likeliest first."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import tensorflow as tf

from bnexp.graph.custom.roles import Parameter, is_inverted


@dataclass(frozen=True)
class Flag:
    """How a layer is told whether it trains.

    Attributes:
        parameter: the name of the parameter; empty if the layer takes no flag.
        kind: `"tensor"`, a bool tensor fed with every call, or `"python"`, a Python bool and so two towers; both as in
            `bnexp.variant.Traits.flag`.
        encode: turns that bool into what the layer takes, such as 1 or `"train"`.
        words: what the layer gets in training, for messages: `"is_training=True"`.
    """

    parameter: str
    kind: Literal["tensor", "python"]
    encode: Callable[[Any], Any]
    words: str

    @property
    def is_bool(self) -> bool:
        """Tells whether the layer gets a Python bool, as Keras gives it."""
        return self.kind == "python" and isinstance(self.encode(True), bool)


NO_FLAG = Flag("", "tensor", lambda training: training, "no flag")


def flags_for(parameter: Parameter) -> list[Flag]:
    """Returns the values that a flag may be given, the likeliest first.

    A bool tensor comes first, for a layer that is called once makes its variables once; but where the default is a
    Python bool, that comes first.

    Args:
        parameter: the parameter that takes the flag.

    Example:
        >>> parameter = inspect.signature(lambda x, is_test=False: x).parameters["is_test"]
        >>> [flag.words for flag in flags_for(parameter)][:2]
        ['is_test=False', 'is_test=a bool tensor']
    """
    name, default = parameter.name, parameter.default
    inverted = is_inverted(name)

    def tensor(value: Any) -> Any:
        return tf.logical_not(value) if inverted else value

    def python(value: bool) -> bool:
        return value != inverted

    in_training = not inverted
    as_tensor = Flag(name, "tensor", tensor, f"{name}=a bool tensor")
    as_bool = Flag(name, "python", python, f"{name}={in_training}")
    numbers = [
        Flag(name, "python", lambda value: int(python(value)), f"{name}={int(in_training)}"),
        Flag(name, "tensor", lambda value: tf.cast(tensor(value), tf.float32), f"{name}=a float tensor"),
        Flag(name, "tensor", lambda value: tf.cast(tensor(value), tf.int32), f"{name}=an int tensor"),
    ]
    words = [
        Flag(name, "python", partial(_one_of, pair), f"{name}={pair[0]!r}")
        for pair in (("train", "test"), ("TRAIN", "TEST"), ("train", "eval"), ("training", "inference"))
    ]
    if isinstance(default, str):
        same_case = [word for word in words if word.encode(True).isupper() == default.isupper()]
        return [*same_case, as_bool, as_tensor]
    if isinstance(default, bool):
        return [as_bool, as_tensor, *numbers]
    if isinstance(default, int | float):
        return [*numbers, as_bool, as_tensor]
    return [as_tensor, as_bool, *numbers, *(words if name.lower() in ("mode", "phase") else [])]


def _one_of(pair: tuple[str, str], training: bool) -> str:
    return pair[0] if training else pair[1]


def is_about_the_flag(error: BaseException) -> bool:
    """Tells whether an error only says that a flag of this kind is not taken, and nothing about the layer.

    Args:
        error: what rose when the layer was called with it.

    Example:
        >>> is_about_the_flag(TypeError("pred must not be a Python bool")), is_about_the_flag(ValueError("axis"))
        (True, False)
    """
    words = f"{type(error).__name__}: {error}"
    return any(
        sign in words
        for sign in (
            "OperatorNotAllowedInGraphError",
            "as a Python `bool`",
            "as a Python bool",
            "pred must not be a Python bool",
            "must not be a Python bool",
            "'bool' object",
            "truth value",
            "Cannot iterate over",
            "`training`",
        )
    )
