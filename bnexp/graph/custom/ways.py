"""The ways to make and call a custom layer that its signature allows, the likeliest first."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import tensorflow as tf

from bnexp.errors import UserError
from bnexp.graph.custom.arguments import (
    Place,
    Role,
    fill,
    is_function_of_inputs,
    left_over,
    name_of,
    parameters_of,
    role_of,
    roles_of,
    split_keys,
)
from bnexp.graph.custom.flag import NO_FLAG, Flag, flags_for
from bnexp.graph.custom.keras_layer import (
    holds_keras_layer,
    is_keras_layer,
    is_of_tensorflow_2,
    model_of,
    run_as_keras_does,
)

v1 = tf.compat.v1

# what an object that cannot be called has instead, the likeliest first
_METHODS = ("call", "forward", "normalize", "normalise", "apply", "batch_norm", "bn", "build")

# how the flag reaches a layer: as an argument of the call, of the class, or as an attribute that is switched
At = Literal["call", "init", "attribute"]


@dataclass(frozen=True)
class Way:
    """One way to make a layer and to call it.

    Attributes:
        factory: the user's class or function, or a `functools.partial` of one.
        kind: `"function"` (of the inputs, the layer itself), `"maker"` (a class or function whose result is called) or
            `"keras"` (a function that makes and calls Keras layers).
        flag: how the layer is told whether it trains.
        at: where it is told.
        required_only: whether arguments with a default keep it; otherwise decay, epsilon and name replace theirs.
        dimensions: whether the axes of a shape are TensorFlow 1's `Dimension`, which have a `value`.
        scoped: whether the layer opens a variable scope by its own name; otherwise one is opened around it.
    """

    factory: Callable[..., Any]
    kind: Literal["function", "maker", "keras"]
    flag: Flag
    at: At = "call"
    required_only: bool = False
    dimensions: bool = False
    scoped: bool = False

    def takes(self, role: Literal["decay", "epsilon", "name"]) -> bool:
        """Tells whether the run's decay or epsilon, or the layer's name, reaches the layer.

        Args:
            role: which of the three.
        """
        parameters = parameters_of(self.factory)
        roles = roles_of(parameters, layer=self.kind != "maker")
        return role in roles and bool(
            set(fill(parameters, roles, _ANYWHERE, required_only=self.required_only)) & {roles[role]}
        )

    def words(self, place: Place) -> str:
        """Returns what the layer is called with, for messages.

        Args:
            place: where the layer stands.
        """
        shape = ", ".join("?" if size is None else str(size) for size in place.shape)
        return f"inputs [{shape}] and {self.flag.words}"

    def make(self, place: Place) -> "Made":
        """Makes the layer.

        Args:
            place: where it stands.
        """
        return Made(self, place)


_ANYWHERE = Place("bn", (None, 1), 0.9, 1e-3)


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
        signed = self.thing.call if is_keras_layer(self.thing) else function
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


def ways(factory: Callable[..., Any], place: Place) -> Iterator[Way]:
    """Yields the ways to make and call a layer, the likeliest first; to be called in a graph that is thrown away.

    Args:
        factory: the user's class or function, or a `functools.partial` of one.
        place: where the layer stands; makers are tried there.

    Raises:
        UserError: nothing that the factory makes can be called, or a required argument has no value.
    """
    parameters = parameters_of(factory)
    target = factory.func if isinstance(factory, partial) else factory
    if is_keras_layer(target) and not inspect.isclass(target):
        raise UserError(
            f"variant._target_={name_of(factory)} is one Keras layer, and a network needs one for each place. "
            "Write a function that returns it."
        )
    if is_function_of_inputs(parameters) if not inspect.isclass(target) else _is_class_of_inputs(parameters):
        roles = roles_of(parameters, layer=True)
        flags = flags_for(parameters[roles["flag"]]) if "flag" in roles else [NO_FLAG]
        python = next((flag for flag in flags if flag.kind == "python"), NO_FLAG)
        for required_only in (False, True):
            as_model = Way(factory, "keras", python, required_only=required_only)
            if _makes_a_model(as_model, place):
                yield Way(factory, "keras", _KERAS_FLAG, required_only=required_only)
                return
        for required_only in (False, True):
            for flag in flags:
                yield Way(factory, "function", flag, required_only=required_only)
        return
    errors: list[Exception] = []
    for required_only in (False, True):
        try:
            yield from list(_maker_ways(factory, place, required_only))
        except Exception as error:  # a class may give an argument itself that it hands on
            errors.append(error)
    if len(errors) == 2:
        raise errors[0]


_KERAS_FLAG = Flag("training", "python", lambda training: training, "training=True")


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


def _maker_ways(factory: Callable[..., Any], place: Place, required_only: bool) -> Iterator[Way]:
    roles = roles_of(parameters_of(factory), layer=False)
    thing = Way(factory, "maker", NO_FLAG, required_only=required_only).make(place).thing
    function = call_of(thing)
    called = parameters_of(getattr(thing, "call", function) if is_keras_layer(thing) else function)
    call_roles = roles_of(called, layer=True)
    if is_keras_layer(thing):
        flags = flags_for(called[call_roles["flag"]]) if "flag" in call_roles else [_KERAS_FLAG]
        yield from (Way(factory, "maker", f, required_only=required_only) for f in flags if f.is_bool)
    elif "flag" in call_roles:
        for flag in flags_for(called[call_roles["flag"]]):
            yield Way(factory, "maker", flag, required_only=required_only)
    elif "flag" in roles:
        flags = flags_for(parameters_of(factory)[roles["flag"]])
        switched = _attribute(thing, roles["flag"]) is not None
        for flag in flags:
            if flag.kind == "tensor":
                yield Way(factory, "maker", flag, "init", required_only)
            else:
                yield Way(factory, "maker", flag, "attribute" if switched else "init", required_only)
    else:
        switch = next((name for name in getattr(thing, "__dict__", {}) if role_of(name) == "flag"), None)
        if switch is not None and isinstance(getattr(thing, switch), bool):
            flag = flags_for(inspect.Parameter(switch, inspect.Parameter.KEYWORD_ONLY, default=True))[0]
            yield Way(factory, "maker", flag, "attribute", required_only)
        yield Way(factory, "maker", NO_FLAG, required_only=required_only)


def _is_class_of_inputs(parameters: Mapping[str, inspect.Parameter]) -> bool:
    """Tells whether a class is given the inputs when it is made, and so keeps its outputs as an attribute."""
    required = [p.name for p in parameters.values() if p.default is inspect.Parameter.empty]
    return any(role_of(name) == "inputs" and "feature" not in name for name in required)


def _makes_a_model(way: Way, place: Place) -> bool:
    try:
        return way.make(place).thing is not None
    except Exception:
        return False  # tried with tensors next, which tells what is wrong


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


def _attribute(thing: Any, name: str) -> str | None:
    """Returns the attribute in which an object keeps its flag; None if it keeps none."""
    kept: Mapping[str, Any] = getattr(thing, "__dict__", {})
    return next((n for n in (name, f"_{name}") if n in kept), None)


def _switch(thing: Any, name: str, value: Any) -> None:
    setattr(thing, _attribute(thing, name) or name, value)
