"""From a config node, or a name, to something that makes batch-norm layers; strangers' layers included."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal

import tensorflow as tf
from hydra.utils import instantiate
from omegaconf import OmegaConf

from bnexp.ancestry import ancestors, handles
from bnexp.errors import UserError
from bnexp.manual import CONF_DIR
from bnexp.variant import BatchNorm, Traits

v1 = tf.compat.v1

MakeLayer = Callable[[str], BatchNorm]

# what a factory may be given; a function that needs more is no factory but the layer itself
GIVEN = ("name", "decay", "epsilon")

# what strangers call the flag
FLAGS = ("training", "is_training", "train", "is_train", "phase_train", "train_phase", "phase")

# what strangers call the statistics, the likeliest first
MEANS = ("moving_mean", "running_mean", "pop_mean", "mean", "mu")
VARIANCES = ("moving_variance", "moving_var", "running_var", "pop_var", "var", "sigma", "std")


def variant_factory(name: str, *, decay: float, epsilon: float) -> Callable[..., Any]:
    """Returns the factory of the variant that conf/variant/`name`.yaml describes.

    Raises:
        UserError: there is no such variant.
    """
    path = CONF_DIR / "variant" / f"{name}.yaml"
    if name not in variant_names():
        known = ", ".join(variant_names())
        raise UserError(f"variant={name}: there is no {path.name} in conf/variant. Take one of {known}.")
    config = OmegaConf.create({"decay": decay, "epsilon": epsilon, "variant": OmegaConf.load(path)})
    factory: Callable[..., Any] = instantiate(config.variant)
    return factory


def variant_names() -> list[str]:
    """Returns the names of all variants, by listing conf/variant."""
    return sorted(path.stem for path in (CONF_DIR / "variant").glob("*.yaml"))


def layer_maker(factory: Callable[..., Any], **overrides: Any) -> MakeLayer:
    """Returns a function that makes the layer of a given name.

    A factory may be a class or make objects that are called as `layer(inputs, training)`, or be itself a function of
    inputs and flag; it is given `name`, and the overrides, where it takes arguments of that name. What a stranger's
    layer leaves out is found out or gets a default, see `_StrangersLayer`.

    Args:
        factory: what a config's variant node instantiates to: a `functools.partial`, as the node has `_partial_: true`.
        overrides: arguments that replace those of the config.
    """
    parameters = inspect.signature(factory.func if isinstance(factory, partial) else factory).parameters

    def make(name: str) -> BatchNorm:
        given = {key: value for key, value in (overrides | {"name": name}).items() if accepts(factory, key)}
        if _is_layer(factory):
            flag = next((word for word in FLAGS if word in parameters), None)
            call = _flag_by_name(partial(factory, **given), flag)
            return _StrangersLayer(name, lambda: call, scoped="name" in given)
        layer = factory(**given)
        if hasattr(layer, "traits") and hasattr(layer, "train_op"):
            return layer  # type: ignore[no-any-return]
        return _StrangersLayer(name, lambda: factory(**given), scoped="name" in given)

    return make


def accepts(factory: Callable[..., Any], name: str) -> bool:
    """Tells whether a factory takes an argument of that name."""
    parameters = inspect.signature(factory.func if isinstance(factory, partial) else factory).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _is_layer(factory: Callable[..., Any]) -> bool:
    """Tells a function that is the layer from a class, or a function, that makes one."""
    if inspect.isclass(factory.func if isinstance(factory, partial) else factory):
        return False
    return any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in GIVEN
        for p in inspect.signature(factory).parameters.values()
    )


def _flag_by_name(function: Callable[..., tf.Tensor], flag: str | None) -> Callable[[tf.Tensor, Any], tf.Tensor]:
    """Makes `function` callable as (inputs, flag) wherever it has its flag."""
    return lambda inputs, training: function(inputs, **{flag: training}) if flag else function(inputs, training)


class _StrangersLayer:
    """A layer that claims nothing, with what the graph asks for.

    `traits.flag` is whichever of a Python bool and a bool tensor the layer can be built with, by trying in a graph that
    is thrown away; `train_op` its own or plain `minimize`; `moving_mean` and `moving_variance` its own attributes, or
    else the variables that its output depends on and that have their names, or came first.

    Args:
        name: the layer's.
        make_call: makes something callable as (inputs, training).
        scoped: whether that opens a variable scope for itself; otherwise one is opened around it.
    """

    def __init__(self, name: str, make_call: Callable[[], Callable[..., tf.Tensor]], *, scoped: bool) -> None:
        self._name, self._scoped = name, scoped
        self._older = {id(variable) for variable in v1.global_variables()}
        self._call = make_call()
        own = getattr(self._call, "traits", None)
        self.traits = own or Traits(flag=self._flag_of(make_call), document="your own")
        if hasattr(self._call, "monitor"):
            self.monitor = self._call.monitor

    def __call__(self, inputs: tf.Tensor, training: Any) -> tf.Tensor:
        outputs = self._build(self._call, inputs, training)
        channels = inputs.shape[-1]
        young = [v for v in v1.global_variables() if id(v) not in self._older and not v.trainable]
        young = [v for v in young if v.shape.num_elements() == channels]
        read = _read_for(outputs, young) or young
        mean, variance = (_likeliest(words, read) for words in (MEANS, VARIANCES))
        if (mean is None or variance is None) and len(read) >= 2:
            mean, variance = read[:2]  # in the order in which everybody makes them
        for statistic, found in (("moving_mean", mean), ("moving_variance", variance)):
            named = getattr(self._call, statistic, None)
            if isinstance(named, tf.Variable) or found is not None:
                setattr(self, statistic, named if isinstance(named, tf.Variable) else found)
        return outputs

    def train_op(self, optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Runs the layer's own train op where it has one."""
        if not hasattr(self._call, "train_op"):
            return optimizer.minimize(loss)
        return self._call.train_op(optimizer, loss, [layer._call for layer in layers])

    def _build(self, call: Callable[..., tf.Tensor], inputs: tf.Tensor, training: Any) -> tf.Tensor:
        # the second tower of a layer that says nothing of reuse finds the variables of the first, as its user would
        # have it by a scope around the call
        reuse = v1.AUTO_REUSE if training is False else None
        scope = v1.get_variable_scope() if self._scoped else self._name
        with v1.variable_scope(scope, reuse=reuse):
            return call(inputs, training)

    def _flag_of(self, make_call: Callable[[], Callable[..., tf.Tensor]]) -> Literal["tensor", "python"]:
        for flag in ("python", "tensor"):
            for shape in ([None, 3], [None, 2, 2, 3]):
                with tf.Graph().as_default():
                    inputs = v1.placeholder(tf.float32, shape)
                    flags = (True, False) if flag == "python" else (v1.placeholder(tf.bool, []),)
                    try:
                        call = make_call()
                        for training in flags:
                            self._build(call, inputs, training)
                    except Exception:
                        continue  # what a layer raises at a flag that it does not take is its own business
                return flag
        return "python"  # the error that it raises comes up where it is really built


def _read_for(outputs: tf.Tensor, variables: Iterable[tf.Variable]) -> list[tf.Variable]:
    """Returns those of `variables` that `outputs` depend on."""
    running = ancestors([outputs])
    return [variable for op, variable in handles(outputs.graph, variables).items() if op in running]


def _likeliest(words: Sequence[str], variables: Sequence[tf.Variable]) -> tf.Variable | None:
    """Returns the variable whose last name is, or else holds, the first word that any has."""
    last = {id(v): v.name.removesuffix("/ExponentialMovingAverage:0").rsplit("/", 1)[-1] for v in variables}
    exact = (v for word in words for v in variables if last[id(v)].split(":")[0] == word)
    return next(exact, next((v for word in words for v in variables if word in last[id(v)]), None))
