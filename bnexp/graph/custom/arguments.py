"""The arguments that a custom layer is given: what follows from where it stands, and what a user has to write."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bnexp.config.imports import call_of_class
from bnexp.errors import UserError
from bnexp.graph.custom.roles import Parameter, Role, parameters_of

# by the name of a layout with channels first: the one that inputs have here
_LAYOUTS = {"NCHW": "NHWC", "channels_first": "channels_last", "NCW": "NWC"}


@dataclass(frozen=True)
class Place:
    """Where a layer stands in a network, and what a run asks of it: what its arguments are filled from.

    Attributes:
        name: the layer's name in the network, `"bn1"`.
        shape: the shape of its inputs, [batch, ..., channels]; None for the length of the batch.
        decay: the weight in [0, 1) that the old average keeps; None leaves it to the layer.
        epsilon: added to a variance before its square root; None leaves it to the layer.
        updates: what the train op runs besides the step: `"auto"` (whatever updates the layer has left), `"minimize"`
            (nothing), `"update_ops"`, or the name of a collection.
        seed: decides what random initialisers draw.
    """

    name: str
    shape: tuple[int | None, ...]
    decay: float | None = None
    epsilon: float | None = None
    updates: str = "auto"
    seed: int = 0

    @property
    def channels(self) -> int:
        """Returns the length of the last axis of the inputs."""
        return self.shape[-1] or 0


def fill(
    parameters: Mapping[str, Parameter], roles: Mapping[Role, str], place: Place, *, required_only: bool
) -> dict[str, Any]:
    """Returns the arguments that follow from where a layer stands: all but inputs, flag and reuse.

    Args:
        parameters: the parameters by name.
        roles: the parameter of each role.
        place: where the layer stands.
        required_only: whether parameters with a default of their own keep it.

    Example:
        >>> parameters = parameters_of(lambda x, dim, eps=1e-5: x)
        >>> fill(parameters, roles_of(parameters, layer=True), Place("bn1", (None, 7), 0.9, 0.1), required_only=False)
        {'dim': 7, 'eps': 0.1}
    """
    values: dict[Role, Any] = {
        "name": place.name,
        "channels": place.channels,
        "shape": [place.channels],
        "axes": list(range(len(place.shape) - 1)),
        "image": len(place.shape) == 4,
        "dtype": "float32",
        "affine": True,
        **({"decay": place.decay} if place.decay is not None else {}),
        **({"epsilon": place.epsilon} if place.epsilon is not None else {}),
    }
    given: dict[str, Any] = {}
    for role, value in values.items():
        if role not in roles:
            continue
        parameter = parameters[roles[role]]
        needed = parameter.default is Parameter.empty
        # sizes and types with a default are the layer's own business; an int where channels have one is none
        optional = role in ("name", "decay", "epsilon", "image") and not required_only
        # a decay below 0.5 is no decay: such a momentum is the weight of the new batch, and keeps its own value
        small = role == "decay" and isinstance(parameter.default, float) and parameter.default < 0.5
        if needed or (optional and not small and _suits(parameter.default, value)):
            given[parameter.name] = value
    if "layout" in roles and not required_only:
        default = parameters[roles["layout"]].default
        given |= {roles["layout"]: _LAYOUTS[default]} if default in _LAYOUTS else {}
    return given


def left_over(parameters: Mapping[str, Parameter], given: Iterable[str], what: str) -> None:
    """Checks that every required parameter has a value.

    Args:
        parameters: the parameters by name.
        given: the names of those that have a value.
        what: the layer, for the message.

    Raises:
        UserError: one has none; the message has the override that gives it.

    Example:
        >>> left_over(parameters_of(lambda x, data_format: x), ["x"], "mine.batch_norm")
        Traceback (most recent call last):
        bnexp.errors.UserError: mine.batch_norm takes data_format, which bnexp cannot know: ...
    """
    given = set(given)
    missing = [name for name, p in parameters.items() if p.default is Parameter.empty and name not in given]
    if missing:
        overrides = " ".join(f"+variant.{name}=VALUE" for name in missing)
        raise UserError(f"{what} takes {' and '.join(missing)}, which bnexp cannot know: give it by {overrides}.")


def split_keys(factory: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Separates the keys that a class takes from those that a user wrote for its call.

    Args:
        factory: a class, or a `functools.partial` of one with a config's keys.

    Returns:
        The class with the keys that it takes, and the other keys with their values.

    Example:
        >>> split_keys(partial(Place, name="bn1"))[1]
        {}
    """
    if not isinstance(factory, partial):
        return factory, {}
    own, called = parameters_of(factory.func), call_of_class(factory.func)
    in_call = parameters_of(called) if callable(called) else {}
    later = {key: value for key, value in factory.keywords.items() if key not in own and key in in_call}
    return partial(factory.func, **{k: v for k, v in factory.keywords.items() if k not in later}), later


def flattened(factory: Callable[..., Any]) -> Any:
    """Returns a factory as one `functools.partial` of a class or function, or as it is if it is no partial.

    Hydra, and users, make partials of partials, which hide what is called and which keys are given.

    Args:
        factory: a class, a function, or partials of one.

    Example:
        >>> flattened(partial(partial(role_of, name="x"), name="y")).keywords
        {'name': 'y'}
    """
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    target = factory
    while isinstance(target, partial):
        arguments, keywords, target = (*target.args, *arguments), {**target.keywords, **keywords}, target.func
    return partial(target, *arguments, **keywords) if isinstance(factory, partial) else factory


def name_of(factory: Any) -> str:
    """Returns the full name of a class or function, `"mine.batch_norm"`; that of its class for any other object.

    Args:
        factory: the class, the function, the object, or a `functools.partial` of one.

    Example:
        >>> name_of(partial(is_inverted, name="x"))
        'bnexp.graph.custom.roles.is_inverted'
    """
    target = factory.func if isinstance(factory, partial) else factory
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}.{named.__qualname__}"


def _suits(default: Any, value: Any) -> bool:
    """Tells whether a value may replace a default: a flag replaces a flag alone, a number no flag."""
    if default is Parameter.empty or default is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, str) == isinstance(default, str)
