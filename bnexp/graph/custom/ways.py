"""The ways to make and call a custom layer that its signature allows, the likeliest first."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from bnexp.errors import UserError
from bnexp.graph.custom.arguments import Place, name_of
from bnexp.graph.custom.flag import NO_FLAG, Flag, flags_for
from bnexp.graph.custom.keras_layer import is_keras_layer
from bnexp.graph.custom.made import Made, call_of, flag_attribute, signed_call
from bnexp.graph.custom.roles import is_function_of_inputs, parameters_of, role_of, roles_of
from bnexp.graph.custom.way import Way

# Keras passes its flag on to the layers inside
_KERAS_FLAG = Flag("training", "python", lambda training: training, "training=True")


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


def _maker_ways(factory: Callable[..., Any], place: Place, required_only: bool) -> Iterator[Way]:
    roles = roles_of(parameters_of(factory), layer=False)
    thing = Made(Way(factory, "maker", NO_FLAG, required_only=required_only), place).thing
    called = parameters_of(signed_call(thing, call_of(thing)))
    call_roles = roles_of(called, layer=True)
    if is_keras_layer(thing):
        flags = flags_for(called[call_roles["flag"]]) if "flag" in call_roles else [_KERAS_FLAG]
        yield from (Way(factory, "maker", f, required_only=required_only) for f in flags if f.is_bool)
    elif "flag" in call_roles:
        for flag in flags_for(called[call_roles["flag"]]):
            yield Way(factory, "maker", flag, required_only=required_only)
    elif "flag" in roles:
        flags = flags_for(parameters_of(factory)[roles["flag"]])
        switched = flag_attribute(thing, roles["flag"]) is not None
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
        return Made(way, place).thing is not None
    except Exception:
        return False  # tried with tensors next, which tells what is wrong
