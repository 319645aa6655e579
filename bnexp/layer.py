"""From a config node, or a name, to something that makes batch-norm layers; strangers' layers included."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf
from hydra.utils import instantiate
from omegaconf import OmegaConf

from bnexp.config import CONF_DIR
from bnexp.errors import UserError
from bnexp.variant import BatchNorm, Traits

MakeLayer = Callable[[str], BatchNorm]


def variant_factory(name: str, *, decay: float, epsilon: float) -> Callable[..., Any]:
    """Returns the factory of the variant that conf/variant/`name`.yaml describes.

    Raises:
        UserError: there is no such variant.
    """
    path = CONF_DIR / "variant" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(variant_names())
        raise UserError(f"variant={name}: there is no {path.name} in conf/variant. Take one of {known}.")
    config = OmegaConf.create({"decay": decay, "epsilon": epsilon, "variant": OmegaConf.load(path)})
    return instantiate(config.variant)


def variant_names() -> list[str]:
    """Returns the names of all variants, by listing conf/variant."""
    return sorted(path.stem for path in (CONF_DIR / "variant").glob("*.yaml"))


def layer_maker(factory: Callable[..., Any], **overrides: Any) -> MakeLayer:
    """Returns a function that makes the layer of a given name.

    A factory may be a class or make objects that are called as `layer(inputs, training)`, or be itself a function of
    `inputs` and `training`; it is given `name`, and the overrides, where it takes arguments of that name. What a
    stranger's layer leaves out gets a default: a Python flag, and plain `optimizer.minimize` as train op.

    Args:
        factory: what a config's variant node instantiates to: a `functools.partial`, as the node has `_partial_: true`.
        overrides: arguments that replace those of the config.
    """
    target = factory.func if isinstance(factory, partial) else factory
    accepted = inspect.signature(target).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
    is_layer_function = "inputs" in accepted or (inspect.isfunction(target) and "training" in accepted)

    def make(name: str) -> BatchNorm:
        arguments = {key: value for key, value in (overrides | {"name": name}).items() if key in accepted or takes_any}
        if is_layer_function:
            return _StrangersLayer(partial(factory, **arguments))
        layer = factory(**arguments)
        return layer if hasattr(layer, "traits") and hasattr(layer, "train_op") else _StrangersLayer(layer)

    return make


class _StrangersLayer:
    """A layer that claims nothing, given the defaults that the graph asks for."""

    def __init__(self, call: Callable[..., tf.Tensor]) -> None:
        self._call = call
        self.traits = getattr(call, "traits", Traits(flag="python", document="your own"))
        for name in ("train_op", "monitor"):
            if hasattr(call, name):
                setattr(self, name, getattr(call, name))

    def __call__(self, inputs: tf.Tensor, training: Any) -> tf.Tensor:
        v1 = tf.compat.v1
        before = {id(variable) for variable in v1.global_variables()}
        outputs = self._call(inputs, training)
        found = [v for v in v1.global_variables() if id(v) not in before and not v.trainable]
        for statistic, word in (("moving_mean", "mean"), ("moving_variance", "var")):
            named = getattr(self._call, statistic, None)
            # by attribute where the layer has one, else the variable that it made and named so
            guesses = [v for v in found if word in v.name.rsplit("/", 1)[-1]]
            if named is not None or guesses:
                setattr(self, statistic, named if named is not None else guesses[0])
        return outputs

    @staticmethod
    def train_op(optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        return optimizer.minimize(loss)
