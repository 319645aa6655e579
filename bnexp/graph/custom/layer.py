"""A user's own layer in the form in which the graph needs it: a `BatchNorm`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from bnexp.config.blame import blaming
from bnexp.errors import UserError
from bnexp.graph.custom.arguments import Place, name_of
from bnexp.graph.custom.made import Made
from bnexp.graph.custom.seeds import seeded
from bnexp.graph.custom.train_op import (
    COLLECTIONS,
    Left,
    counted,
    left_by,
    left_in_collections,
    minimize,
    own_train_op,
)
from bnexp.graph.custom.way import Way
from bnexp.variant import Traits

v1 = tf.compat.v1

# attributes in which an object that was given its inputs when it was made keeps its outputs
_OUTPUTS = ("outputs", "output", "out", "result", "normed", "normalized", "y")


@dataclass(frozen=True)
class Birth:
    """Which of a layer's variables one is, whatever it is called: a graph that is built again has it at the same place.

    Attributes:
        call: 0 if it was made with the layer, 1 at its first call, 2 with the train op, 3 at its second call.
        position: how many others of [channels] were made before it by the same call.
        count: how many variables of [channels] that call made.
        layer: the name of the layer with which it was found.
        name: its name in the graph in which it was found.
        by_use: whether it was found by what inference does with it, which no name can mislead.
    """

    call: int
    position: int
    count: int
    layer: str
    name: str
    by_use: bool


class CustomLayer:
    """A user's own layer in the form in which the graph needs it.

    Its attributes `moving_mean` and `moving_variance` are there as soon as the variables are.

    Args:
        way: how the layer is made and called.
        place: where it stands in the network.
        statistics: its moving mean and moving variance, None for each that it does not keep.

    Attributes:
        traits: those of a right variant, with the flag as the way says; the layer's own if it has any.
        takes: those of `"decay"` and `"epsilon"` that reach the layer.
        born: the variables that each call has made, in order.
        left: the updates that the train op found, filled when it is made.
    """

    def __init__(self, way: Way, place: Place, *, statistics: Sequence[Birth | None] = (None, None)) -> None:
        self._way, self._place, self._target = way, place, name_of(way.factory)
        self._statistics = dict(zip(("moving_mean", "moving_variance"), statistics, strict=True))
        self._returned: list[Any] = []
        self._calls = 0
        self.takes = frozenset(role for role in ("decay", "epsilon") if way.takes(role))
        self.born: dict[int, list[tf.Variable]] = {}
        self.left: list[Left] = []
        with self._making(0):
            self._made = Made(way, place)
        self.traits = getattr(self.thing, "traits", None) or Traits(flag=way.flag.kind, document="your own")
        if callable(getattr(self.thing, "monitor", None)):
            self.monitor = self.thing.monitor

    @property
    def thing(self) -> Any:
        """Returns the user's own object, or their function."""
        return self._made.thing

    def __call__(self, inputs: tf.Tensor, training: Any) -> tf.Tensor:
        """Calls the layer, and looks for its moving statistics among the variables that it has created.

        Args:
            inputs: [batch, ..., channels] float32.
            training: the training flag, a Python bool or a bool tensor [], as `traits.flag` says.

        Returns:
            The layer's outputs, of the shape of `inputs`.
        """
        self._calls += 1
        with self._making(1 if self._calls == 1 else 3):
            returned = self._made(inputs, training)
            outputs, rest = _outputs_of(returned, inputs, self._target)
        for moment in ("batch_mean", "batch_variance"):
            if hasattr(self.thing, "traits") and hasattr(self.thing, moment):
                setattr(self, moment, getattr(self.thing, moment))
        self._returned += rest
        return outputs

    def train_op(self, optimizer: Any, loss: tf.Tensor, layers: Sequence[Any]) -> tf.Operation:
        """Returns the op of one training step: the layer's own, or `minimize` with the updates that layers have left.

        Args:
            optimizer: a TF1 optimizer.
            loss: [] float32, the mean loss of a batch.
            layers: all layers of the network, `CustomLayer`s.
        """
        graph = v1.get_default_graph()
        with self._making(2, optimizer):
            if callable(getattr(self.thing, "train_op", None)) and self._place.updates == "auto":
                return own_train_op(self.thing.train_op, optimizer, loss, [layer.thing for layer in layers])
            if self._place.updates == "minimize":
                return counted([minimize(optimizer, loss, [])])
            if self._place.updates != "auto":
                name = v1.GraphKeys.UPDATE_OPS if self._place.updates == "update_ops" else self._place.updates
                self.left = left_in_collections(graph, [name])
                if not self.left:
                    raise UserError(_nothing_in(name))
                return counted([minimize(optimizer, loss, [op for left in self.left for op in left.ops])])
            in_collections = left_in_collections(graph, COLLECTIONS)
            step = minimize(optimizer, loss, [op for left in in_collections for op in left.ops])
            kept: list[Left] = []
        # an assigner averages what the step has written, so it is asked for behind the step
        with tf.control_dependencies([step]):
            for layer in layers:
                with layer._making(2):
                    kept += left_by(layer.thing, layer._returned, graph, ask=not in_collections)
        self.left = in_collections + kept
        return counted([step, *(op for left in kept for op in left.ops)])

    @contextmanager
    def _making(self, call: int, optimizer: Any = None) -> Iterator[None]:
        """Runs the user's code: in a scope, with seeds, and with what it raises told as theirs.

        Args:
            call: which of the layer's calls this is, see `Birth`.
            optimizer: one that makes variables in the block, which are none of the layer's.
        """
        before = {id(variable) for variable in v1.global_variables()}
        # a layer that does not set reuse itself shares its variables between both towers, as if its user had put a
        # scope around the call
        reuse = v1.AUTO_REUSE if call == 3 else None
        scope = v1.get_variable_scope() if self._way.scoped or call == 2 else self._place.name
        with (
            blaming(f"variant._target_={self._target}", self._target, tried=self._way.words(self._place)),
            seeded(self._place.seed),
            _dimensions(self._way.dimensions),
            # the calls alone name their ops by the scope
            v1.variable_scope(scope, reuse=reuse, auxiliary_name_scope=call != 0),
        ):
            yield
        before |= {id(variable) for variable in optimizer.variables()} if optimizer is not None else set()
        self.born.setdefault(call, []).extend(v for v in v1.global_variables() if id(v) not in before)
        found = {}
        for attribute, birth in self._statistics.items():
            own = getattr(self.thing, attribute, None) if call != 0 else None
            named = isinstance(own, tf.Variable) and not (birth is not None and birth.by_use)
            found[attribute] = own if named else self._variable_of(birth)
        # a layer with one of them alone has no moving statistics to speak of
        if all(variable is not None for variable in found.values()):
            for attribute, variable in found.items():
                setattr(self, attribute, variable)

    def _variable_of(self, birth: Birth | None) -> tf.Variable | None:
        """Returns the variable that was born so; one that another layer has made, and this one shares, by its name."""
        if birth is None:
            return None
        made = self.of_channels(birth.call)
        if len(made) == birth.count and made:
            return made[birth.position]
        names = (birth.name.replace(f"{birth.layer}/", f"{self._place.name}/"), birth.name)
        return next((v for name in names for v in v1.global_variables() if v.name == name), None)

    def of_channels(self, call: int) -> list[tf.Variable]:
        """Returns the variables of [channels] that a call has made, in order.

        Args:
            call: which of the layer's calls it is, see `Birth`.
        """
        return [v for v in self.born.get(call, ()) if v.shape.num_elements() == self._place.channels]


def _outputs_of(returned: Any, inputs: tf.Tensor, target: str) -> tuple[tf.Tensor, list[Any]]:
    """Returns the outputs in what a call returned, and the rest."""
    rest: list[Any] = []
    if isinstance(returned, list | tuple) and returned:
        returned, *rest = returned
    if not isinstance(returned, tf.Tensor):
        kept = (getattr(returned, name, None) for name in _OUTPUTS)
        returned = next((value for value in kept if isinstance(value, tf.Tensor)), returned)
    if not isinstance(returned, tf.Tensor):
        raise UserError(
            f"variant._target_={target} returned {type(returned).__name__}, and not the normalised inputs. Let it "
            "return a tensor of the shape of its inputs."
        )
    if not returned.shape.is_compatible_with(inputs.shape):
        raise UserError(
            f"variant._target_={target} returned {returned.shape} for inputs {inputs.shape}. A batch norm keeps the "
            "shape of its inputs."
        )
    if returned.shape != inputs.shape:
        returned = tf.ensure_shape(returned, inputs.shape)
    return returned, rest


def _nothing_in(name: str) -> str:
    return (
        f"updates={name}: the layers have left nothing in the collection {name}. Take updates=auto, which runs what "
        "they have left wherever that is, or updates=minimize, which runs nothing."
    )


@contextmanager
def _dimensions(wanted: bool) -> Iterator[None]:
    """Gives the axes of shapes a `value`, as in TensorFlow 1."""
    if wanted:
        v1.disable_v2_tensorshape()
    try:
        yield
    finally:
        if wanted:
            v1.enable_v2_tensorshape()
