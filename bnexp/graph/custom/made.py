"""A custom layer that was made in some way, and is called so."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import tensorflow as tf

from bnexp.errors import UserError
from bnexp.graph.custom.arguments import Place, fill, left_over, name_of, split_keys
from bnexp.graph.custom.flag import NO_FLAG
from bnexp.graph.custom.keras_layer import (
    holds_keras_layer,
    is_keras_layer,
    is_of_tensorflow_2,
    model_of,
    run_as_keras_does,
)
from bnexp.graph.custom.roles import Role, parameters_of, roles_of
from bnexp.graph.custom.way import Way

v1 = tf.compat.v1

# what an object that cannot be called has instead, the likeliest first
_METHODS = ("call", "forward", "normalize", "normalise", "apply", "batch_norm", "bn", "build")


class Made:
    """A layer that was made in some way, and can be called.

    Args:
        way: how it is made and called.
        place: where it stands.

    Attributes:
        thing: the user's object, or the function itself; its hooks and attributes are looked for there.
    """

    def __init__(self, way: Way, place: Place) -> None:
        self._way, self._place, self._calls = way, place, 0
        self.thing: Any = way.factory
        self._more: dict[str, Any] = {}
        parameters = parameters_of(way.factory)
        roles = roles_of(parameters, layer=way.kind != "maker")
        given = fill(parameters, roles, place, required_only=way.required_only)
        given |= _things(parameters, roles, place)
        if way.kind == "function":
            self._use(partial(way.factory, **given))
        elif way.kind == "keras":
            flag = {roles["flag"]: None} if "flag" in roles else {}
            self._hold(model_of(partial(way.factory, **given, **flag), place.shape))
        else:
            # a flag and a reuse that must be given when the layer is made, besides those of its calls
            needed = {
                roles[role]: value
                for role, value in (("flag", True), ("reuse", False))
                if role in roles and parameters[roles[role]].default is inspect.Parameter.empty
            }
            left_over(parameters, [*given, *needed], name_of(way.factory))
            factory, self._more = split_keys(way.factory)
            self._make = partial(factory, **{**given, **needed})
            if way.at != "init":
                self._hold(self._make())

    def _hold(self, thing: Any) -> None:
        self.thing = thing
        self._use(call_of(thing))

    def _use(self, function: Callable[..., Any]) -> None:
        """Prepares the calls of a function of the inputs."""
        signed = signed_call(self.thing, function)
        parameters = parameters_of(signed)
        roles = roles_of(parameters, layer=True)
        self._inputs, self._reuse = roles.get("inputs", ""), roles.get("reuse", "")
        self._flag = roles.get("flag", "training" if is_keras_layer(self.thing) else "")
        # by position only where they come first; a partial that gives an argument before them takes them by name alone
        first = next(iter(inspect.signature(signed).parameters.values()), None)
        by_name = first is not None and (first.kind is inspect.Parameter.KEYWORD_ONLY or first.name != self._inputs)
        self._positional = is_keras_layer(self.thing) or not self._inputs or not by_name
        self._needs_reuse = bool(self._reuse) and parameters[self._reuse].default is inspect.Parameter.empty
        given: dict[str, Any] = dict(self._more)
        if not is_keras_layer(self.thing):
            given |= fill(parameters, roles, self._place, required_only=True)
            left_over(parameters, [*given, self._inputs, self._flag, self._reuse], name_of(function))
        self._function = partial(function, **given)

    def __call__(self, inputs: tf.Tensor, training: Any) -> Any:
        """Calls the layer and returns whatever it returns.

        Args:
            inputs: [batch, ..., channels] float32.
            training: the training flag, a bool tensor or a Python bool as the way's flag says.
        """
        self._calls += 1
        value = self._way.flag.encode(training)
        if self._way.at == "init":
            self._hold(self._make(**{self._way.flag.parameter: value}))
        elif self._way.at == "attribute":
            _switch(self.thing, self._way.flag.parameter, value)
        arguments: dict[str, Any] = {}
        if self._way.at == "call" and self._flag and self._way.flag is not NO_FLAG:
            arguments[self._flag] = value
        if self._reuse and (self._calls > 1 or self._needs_reuse):
            arguments[self._reuse] = self._calls > 1
        if holds_keras_layer(self.thing) or is_of_tensorflow_2(self.thing):
            return run_as_keras_does(self._function, inputs, arguments, first=self._calls == 1)
        if self._positional:
            return self._function(inputs, **arguments)
        return self._function(**{self._inputs: inputs}, **arguments)


def call_of(thing: Any) -> Callable[..., Any]:
    """Returns what calls a layer: the object itself, or the method that objects have which cannot be called.

    Args:
        thing: what a user's class or function has made.

    Raises:
        UserError: there is no such method.
    """
    if callable(thing):
        return thing  # type: ignore[no-any-return]
    method = next((getattr(thing, name) for name in _METHODS if callable(getattr(thing, name, None))), None)
    if method is None:
        raise UserError(
            f"variant._target_ made {type(thing).__name__}, which cannot be called. Give it a "
            "__call__(self, inputs, training) that returns the normalised inputs."
        )
    return method  # type: ignore[no-any-return]


def signed_call(thing: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns what has the signature of a layer's calls: a Keras layer's `call`, since its `__call__` takes anything.

    Args:
        thing: the user's object, or their function.
        function: what calls it.
    """
    return thing.call if is_keras_layer(thing) else function


def _things(parameters: Mapping[str, inspect.Parameter], roles: Mapping[Role, str], place: Place) -> dict[str, Any]:
    """Returns the arguments that are objects of TensorFlow, where the layer requires them."""
    makers: dict[Role, Callable[[], Any]] = {
        "step": v1.train.get_or_create_global_step,
        "average": lambda: v1.train.ExponentialMovingAverage(0.9 if place.decay is None else place.decay),
        "gamma": lambda: tf.Variable(tf.ones([place.channels]), name="gamma"),
        "beta": lambda: tf.Variable(tf.zeros([place.channels]), name="beta"),
    }
    return {
        roles[role]: make()
        for role, make in makers.items()
        if role in roles and parameters[roles[role]].default is inspect.Parameter.empty
    }


def flag_attribute(thing: Any, name: str) -> str | None:
    """Returns the attribute in which an object keeps its flag; None if it keeps none.

    Args:
        thing: the user's object.
        name: the name of the flag.
    """
    kept: Mapping[str, Any] = getattr(thing, "__dict__", {})
    return next((n for n in (name, f"_{name}") if n in kept), None)


def _switch(thing: Any, name: str, value: Any) -> None:
    setattr(thing, flag_attribute(thing, name) or name, value)
