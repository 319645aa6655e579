"""Makes layers from a variant's name or factory, and from users' own classes and functions."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf
from hydra.utils import instantiate
from omegaconf import OmegaConf

from bnexp.config.nearest import did_you_mean
from bnexp.config.paths import CONF_DIR, names_in
from bnexp.config.renamed import renamed_variant
from bnexp.errors import UserError
from bnexp.graph import MakeLayer
from bnexp.graph.custom_layer import FLAGS, CustomLayer
from bnexp.variant import BatchNorm

# the arguments that a factory may require; a function that requires others is the layer itself
GIVEN = ("name", "decay", "epsilon")


def variant_factory(name: str, *, decay: float, epsilon: float) -> Callable[..., Any]:
    """Returns the factory of the variant that conf/variant/`name`.yaml describes.

    Args:
        name: the variant's name: the name of the file without its ending.
        decay: the value of `${decay}` in the file: the weight in [0, 1) that the old average keeps at an update.
        epsilon: the value of `${epsilon}` in the file: added to a variance before its square root.

    Returns:
        A callable that takes `name`, the layer's name, and returns the layer.

    Raises:
        UserError: no variant has that name; the message has the nearest one.

    Example:
        >>> variant_factory("ema", decay=0.9, epsilon=1e-3)(name="bn1").traits.attachment
        'assigner'
    """
    known, name = names_in("variant"), renamed_variant(name)
    if name not in known:
        advice = did_you_mean(name, known) or f"Take one of {', '.join(known)}."
        raise UserError(f"variant={name}: there is no {name}.yaml in conf/variant. {advice}")
    node = OmegaConf.load(CONF_DIR / "variant" / f"{name}.yaml")
    config = OmegaConf.create({"decay": decay, "epsilon": epsilon, "variant": node})
    factory: Callable[..., Any] = instantiate(config.variant)
    return factory


def layer_maker(factory: Callable[..., Any], **overrides: Any) -> MakeLayer:
    """Returns a function that makes the layer of a given name.

    Args:
        factory: a class or a function whose result is called as `layer(inputs, training)`, or a function of inputs and
            flag that is the layer itself; or a `functools.partial` of one, as a config's variant node gives. A layer
            that was not written for bnexp is adapted by `CustomLayer`.
        **overrides: arguments that replace those of the config, such as `decay=0.9`. They, and `name`, are passed on
            only if the factory takes an argument of that name.

    Example:
        >>> layer_maker(update_ops.BatchNorm, decay=0.9, epsilon=1e-3)("bn1").name
        'bn1'
    """
    parameters = inspect.signature(factory.func if isinstance(factory, partial) else factory).parameters

    def make(name: str) -> BatchNorm:
        given = {key: value for key, value in (overrides | {"name": name}).items() if accepts(factory, key)}
        if _is_layer(factory):
            flag = next((word for word in FLAGS if word in parameters), None)
            call = _flag_by_name(partial(factory, **given), flag)
            return CustomLayer(name, lambda: call, scoped="name" in given)
        layer = factory(**given)
        if hasattr(layer, "traits") and hasattr(layer, "train_op"):
            return layer  # type: ignore[no-any-return]
        return CustomLayer(name, lambda: factory(**given), scoped="name" in given)

    return make


def accepts(factory: Callable[..., Any], name: str) -> bool:
    """Tells whether a factory takes an argument of a given name, by itself or by `**kwargs`.

    Args:
        factory: a class or a function, or a `functools.partial` of one.
        name: the name of the argument, such as `"decay"`.

    Example:
        >>> accepts(update_ops.BatchNorm, "decay"), accepts(lambda inputs, training: inputs, "decay")
        (True, False)
    """
    parameters = inspect.signature(factory.func if isinstance(factory, partial) else factory).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _is_layer(factory: Callable[..., Any]) -> bool:
    """Tells whether `factory` is a function of inputs and flag, and so the layer itself and not a factory."""
    if inspect.isclass(factory.func if isinstance(factory, partial) else factory):
        return False
    return any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in GIVEN
        for p in inspect.signature(factory).parameters.values()
    )


def _flag_by_name(function: Callable[..., tf.Tensor], flag: str | None) -> Callable[[tf.Tensor, Any], tf.Tensor]:
    """Returns `function` as one of (inputs, flag); `flag` is the parameter that takes the flag, None the second one."""
    return lambda inputs, training: function(inputs, **{flag: training}) if flag else function(inputs, training)
