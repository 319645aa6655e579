"""What a parameter of a custom layer is for, by its usual names."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

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
        {'inputs': 'x', 'flag': 'phase_train', 'channels': 'n_out', 'decay': 'bn_decay'}
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


def _initializers(called: Any) -> list[Any]:
    """Returns what is called in place of `called`: for a class its `__init__` and those of its bases, in order."""
    if not inspect.isclass(called):
        return [called]
    return [vars(base)["__init__"] for base in called.__mro__ if "__init__" in vars(base) and base is not object]
