"""Adapts a layer that was not written for bnexp: what it does not say about itself is detected, or gets a default."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import tensorflow as tf

from bnexp.graph.ancestry import ancestors, handles
from bnexp.variant import Traits

v1 = tf.compat.v1

# usual names of the training flag
FLAGS = ("training", "is_training", "train", "is_train", "phase_train", "train_phase", "phase")

# usual names of the statistics, the likeliest first
MEANS = ("moving_mean", "running_mean", "pop_mean", "mean", "mu")
VARIANCES = ("moving_variance", "moving_var", "running_var", "pop_var", "var", "sigma", "std")


class CustomLayer:
    """A user's own layer in the form in which the graph needs it.

    1. `traits` are the layer's own if it has any. Otherwise they are the defaults, but `traits.flag` is found by trying
       which of a Python bool and a bool tensor the layer can be built with, in a graph that is thrown away.
    2. `train_op` is the layer's own, or else `optimizer.minimize(loss)`.
    3. `moving_mean` and `moving_variance` are the layer's attributes of that name. Otherwise they are chosen from the
       untrainable [channels] variables that the output depends on, by their names or else the first two.

    Args:
        name: the layer's name in the network, `"bn1"`.
        make_call: returns the layer, something that is called as `layer(inputs, training)`.
        scoped: whether the layer opens a variable scope itself; otherwise one named `name` is opened around each call.
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
        """Calls the layer, and looks for its moving statistics among the variables that it has created.

        Args:
            inputs: [batch, ..., channels] float32.
            training: the training flag, a Python bool or a bool tensor [], as `traits.flag` says.

        Returns:
            The layer's outputs, of the shape of `inputs`.
        """
        outputs = self._build(self._call, inputs, training)
        channels = inputs.shape[-1]
        young = [v for v in v1.global_variables() if id(v) not in self._older and not v.trainable]
        young = [v for v in young if v.shape.num_elements() == channels]
        read = _read_for(outputs, young) or young
        mean, variance = (_likeliest(words, read) for words in (MEANS, VARIANCES))
        if (mean is None or variance is None) and len(read) >= 2:
            mean, variance = read[:2]  # the usual order of creation
        for statistic, found in (("moving_mean", mean), ("moving_variance", variance)):
            named = getattr(self._call, statistic, None)
            if isinstance(named, tf.Variable) or found is not None:
                setattr(self, statistic, named if isinstance(named, tf.Variable) else found)
        return outputs

    def train_op(self, optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Returns the layer's own train op, or that of `optimizer.minimize(loss)` if it has none."""
        if not hasattr(self._call, "train_op"):
            return optimizer.minimize(loss)
        return self._call.train_op(optimizer, loss, [layer._call for layer in layers])

    def _build(self, call: Callable[..., tf.Tensor], inputs: tf.Tensor, training: Any) -> tf.Tensor:
        # a layer that does not set reuse itself shares its variables between both towers, as if its user had put a
        # scope around the call
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
                        continue  # a layer may raise anything for a flag that it does not accept
                return flag
        return "python"  # it accepts neither; its error shows when it is built for the run


def _read_for(outputs: tf.Tensor, variables: Iterable[tf.Variable]) -> list[tf.Variable]:
    """Returns the `variables` that `outputs` depend on."""
    running = ancestors([outputs])
    return [variable for op, variable in handles(outputs.graph, variables).items() if op in running]


def _likeliest(words: Sequence[str], variables: Sequence[tf.Variable]) -> tf.Variable | None:
    """Returns the first variable whose name ends in one of `words`, or else has one in its last part; None without any.

    Earlier words are preferred to later ones.
    """
    last = {id(v): v.name.removesuffix("/ExponentialMovingAverage:0").rsplit("/", 1)[-1] for v in variables}
    exact = (v for word in words for v in variables if last[id(v)].split(":")[0] == word)
    return next(exact, next((v for word in words for v in variables if word in last[id(v)]), None))
