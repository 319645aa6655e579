"""The arguments of a custom layer: what a parameter is for, by its usual names, and what it is given."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from bnexp.errors import UserError

Parameter = inspect.Parameter

Role = Literal[
    "inputs",
    "flag",
    "decay",
    "epsilon",
    "channels",
    "shape",
    "axes",
    "image",
    "layout",
    "name",
    "reuse",
    "step",
    "dtype",
    "average",
    "gamma",
    "beta",
    "affine",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# by role: the usual names, in lower case and without underscores
_NAMES: Mapping[Role, frozenset[str]] = {
    "inputs": _words(
        "x input inputs inp tensor inputtensor t net h hidden z y inputlayer layerinput incoming prev "
        "prevlayer data value values features batch ylogits logits feature featuremap activations xin inx "
        "layer bottom preact inputdata source signal images image"
    ),
    "decay": _words(
        "decay momentum bndecay bnmomentum emadecay movingdecay decayrate mom movingaveragedecay "
        "averagedecay batchnormdecay batchnormmomentum emamomentum expdecay avgdecay madecay batchdecay "
        "bnrate"
    ),
    "epsilon": _words(
        "epsilon eps bnepsilon bneps varianceepsilon vareps batchepsilon batchnormepsilon varepsilon epsilonbn"
    ),
    "channels": _words(
        "nout dim dims size numfeatures depth channels nchannels numchannels outdim outputdim units "
        "nfeatures inputsize inchannels outchannels ch numoutputs noutputs outputs outsize inputdim "
        "nunits numunits channel featuredim nin indim nbfilter nfilters numfilters filters outputsize "
        "numout outnum outputchannels layersize inputchannels inputdepth nhidden hiddensize numhidden "
        "cout outdepth paramdim featuresize nfilter inputchannel outchannel c n d"
    ),
    "shape": _words("shape inputshape paramsshape paramshape statshape batchshape xshape"),
    "axes": _words("axes momentsaxes reduceaxes reductionaxes redaxes momentaxes normaxes reduceaxis"),
    "image": _words("convolutional isconv conv isconvolutional convlayer isconvlayer isconvout convbn isimage is4d"),
    "name": _words(
        "name scope scopename layername namescope variablescope namespace bnname varscope vscope bnscope "
        "prefix scopebn nm idname scopestr"
    ),
    "reuse": _words("reuse reusevars reusevariables scopereuse reusescope isreuse"),
    "step": _words("step globalstep iteration iter numupdates it iterations globstep stepnum"),
    "dtype": _words("dtype datatype"),
    "layout": _words("dataformat format layout"),
    "average": _words("ema ewma ematrainer ewmatrainer averager expavg emaobj"),
    "gamma": _words("gamma gammas"),
    "beta": _words("beta betas offset bias shift"),
    "affine": _words("affine scale scaleafternorm scaleafternormalization usescale center usebias usebeta usegamma"),
}

# by the name of a layout with channels first: the one that inputs have here
_LAYOUTS = {"NCHW": "NHWC", "channels_first": "channels_last", "NCW": "NWC"}

# names of a flag that is True at inference
_INVERTED = _words(
    "istest test testing istesting inference isinference eval iseval infer useglobalstats "
    "useglobalstatistics userunningaverage deterministic testphase isprediction predict usemoving "
    "testmode isvalidation"
)
# names of a flag that is True in training and does not have "train" in it
_FLAGS = _words("phase mode usebatchstats usebatchstatistics learning islearning learningphase")
# names with "train" in them that say whether variables are trainable
_NO_FLAG = ("trainable", "trained", "pretrain", "trainer")


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


def role_of(name: str) -> Role | None:
    """Returns what a parameter is for by its name; None if the name does not tell.

    Args:
        name: the parameter's name.

    Example:
        >>> role_of("bn_decay"), role_of("phase_train"), role_of("n_out"), role_of("trainable")
        ('decay', 'flag', 'channels', None)
    """
    plain = name.lower().replace("_", "")
    if plain in _FLAGS | _INVERTED or ("train" in plain and not any(word in plain for word in _NO_FLAG)):
        return "flag"
    return next((role for role, names in _NAMES.items() if plain in names), None)


def is_inverted(name: str) -> bool:
    """Tells whether a flag of a given name is True at inference.

    Args:
        name: the parameter's name.

    Example:
        >>> is_inverted("is_test"), is_inverted("is_training")
        (True, False)
    """
    return name.lower().replace("_", "") in _INVERTED


def parameters_of(called: Callable[..., Any]) -> dict[str, Parameter]:
    """Returns what a class, function or object takes when it is called, by name, without `*args` and `**kwargs`.

    Where a class hands `**kwargs` on to the class that it is derived from, the parameters of that are among them. What
    a `functools.partial` gives already is left out.

    Args:
        called: the class, the function, the object, or a `functools.partial` of one.

    Example:
        >>> list(parameters_of(lambda x, training, *args, **kwargs: x))
        ['x', 'training']
    """
    if isinstance(called, partial):
        return {name: p for name, p in parameters_of(called.func).items() if name not in called.keywords}
    found: dict[str, Parameter] = {}
    for maker in _initializers(called):
        try:
            signature = inspect.signature(maker)
        except (TypeError, ValueError):
            break  # a builtin
        own = {name: p for name, p in signature.parameters.items() if not (maker is not called and name == "self")}
        for name, parameter in own.items():
            if parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
                found.setdefault(name, parameter)
        if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in own.values()):
            break
    return found


def roles_of(parameters: Mapping[str, Parameter], *, layer: bool) -> dict[Role, str]:
    """Returns the parameter for each role that one is found for.

    Args:
        parameters: the parameters by name, as `parameters_of` returns them.
        layer: whether the first parameter may be the inputs whatever it is called, and the second one the flag.

    Example:
        >>> roles_of(parameters_of(lambda x, n_out, phase_train, bn_decay=0.9: x), layer=True)
        {'inputs': 'x', 'channels': 'n_out', 'flag': 'phase_train', 'decay': 'bn_decay'}
    """
    positional = [p.name for p in parameters.values() if p.kind is not Parameter.KEYWORD_ONLY] or list(parameters)
    required = [name for name in positional if parameters[name].default is Parameter.empty]
    found: dict[Role, str] = {}
    if layer and positional:
        named = [name for name in positional if role_of(name) == "inputs"]
        unknown = [name for name in positional if role_of(name) is None]
        # the first one, unless it is plainly something else and another is plainly the inputs
        first_is_other = role_of(positional[0]) not in (None, "inputs", "shape") and bool(named or unknown)
        found["inputs"] = (named or unknown)[0] if first_is_other else positional[0]
    # of several flags, one that says "train"; `phase` is sometimes a name
    for name in sorted(parameters, key=lambda name: "train" not in name.lower()):
        role = role_of(name)
        if role == "inputs" and not layer and "feature" in name:
            role = "channels"  # what makes a layer is given no inputs, but their number of features
        if role is not None and role != "inputs" and name not in found.values():
            found.setdefault(role, name)
    if layer and "flag" not in found:
        # a required argument right behind the inputs, of a name that says nothing
        behind = required[required.index(found["inputs"]) + 1 :] if found.get("inputs") in required else []
        if behind and role_of(behind[0]) is None:
            found["flag"] = behind[0]
    return found


def is_function_of_inputs(parameters: Mapping[str, Parameter]) -> bool:
    """Tells whether what takes these parameters is a layer itself, a function of inputs, and does not make layers.

    Args:
        parameters: the parameters by name, as `parameters_of` returns them.

    Example:
        >>> is_function_of_inputs(parameters_of(lambda x, is_training: x))
        True
        >>> is_function_of_inputs(parameters_of(lambda num_features, momentum=0.9: None))
        False
    """
    named = [p for p in parameters.values() if "feature" not in p.name]
    required = [p.name for p in named if p.default is Parameter.empty]
    by_name = any(p.name.lower() in ("x", "inputs", "input", "input_tensor") for p in named)
    return by_name or any(role_of(name) in ("inputs", None) for name in required)


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
    own, bases = parameters_of(factory.func), getattr(factory.func, "__mro__", ())
    called = next((vars(base)[name] for base in bases for name in ("call", "__call__") if name in vars(base)), None)
    in_call = parameters_of(called) if callable(called) else {}
    later = {key: value for key, value in factory.keywords.items() if key not in own and key in in_call}
    return partial(factory.func, **{k: v for k, v in factory.keywords.items() if k not in later}), later


def name_of(factory: Any) -> str:
    """Returns the full name of a class or function, `"mine.batch_norm"`; that of its class for any other object.

    Args:
        factory: the class, the function, the object, or a `functools.partial` of one.

    Example:
        >>> name_of(partial(is_inverted, name="x"))
        'bnexp.graph.custom.arguments.is_inverted'
    """
    target = factory.func if isinstance(factory, partial) else factory
    named = target if hasattr(target, "__qualname__") else type(target)
    return f"{named.__module__}.{named.__qualname__}"


def _initializers(called: Any) -> list[Any]:
    """Returns what is called in place of `called`: for a class its `__init__` and those of its bases, in order."""
    if not inspect.isclass(called):
        return [called]
    return [vars(base)["__init__"] for base in called.__mro__ if "__init__" in vars(base) and base is not object]


def _suits(default: Any, value: Any) -> bool:
    """Tells whether a value may replace a default: a flag replaces a flag alone, a number no flag."""
    if default is Parameter.empty or default is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, str) == isinstance(default, str)
