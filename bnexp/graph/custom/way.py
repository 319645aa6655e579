"""One way to make and call a custom layer, as a value."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from bnexp.graph.custom.arguments import Place, fill
from bnexp.graph.custom.flag import Flag
from bnexp.graph.custom.roles import parameters_of, roles_of

# how the flag reaches a layer: as an argument of the call, of the class, or as an attribute that is switched
At = Literal["call", "init", "attribute"]

# where nothing depends on the place
_ANYWHERE = Place("bn", (None, 1), 0.9, 1e-3)


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
