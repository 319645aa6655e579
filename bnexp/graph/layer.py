"""Makes layers from a variant's name or factory, and from users' own classes and functions."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

from bnexp.config.nearest import did_you_mean
from bnexp.config.paths import CONF_DIR, names_in
from bnexp.config.renamed import renamed_variant
from bnexp.errors import UserError
from bnexp.graph import Graph, MakeLayer, Shape
from bnexp.graph.custom.arguments import Place, flattened
from bnexp.graph.custom.layer import CustomLayer
from bnexp.graph.custom.trial import Adaptation, adapt
from bnexp.variant import BatchNorm


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
    factory: Callable[..., Any] = flattened(instantiate(config.variant))
    return factory


def layer_maker(factory: Callable[..., Any], *, updates: str = "auto", seed: int = 0, **overrides: float) -> MakeLayer:
    """Returns a function that makes the layer of a given name, for inputs of a given shape.

    Args:
        factory: the class of a variant, or a user's own class or function, which is adapted by `bnexp.graph.custom`; or
            a `functools.partial` of one, as a config's variant node gives.
        updates: what the train op of a custom layer runs besides the step: `"auto"` (whatever updates the layer has
            left), `"minimize"` (nothing), `"update_ops"`, or the name of a collection.
        seed: decides what a custom layer's random initialisers draw.
        **overrides: `decay` and `epsilon`, which replace those of the config; they are passed on only if the factory
            takes them, a custom layer also by other usual names.

    Raises:
        UserError: a custom layer cannot be made or called.

    Example:
        >>> layer_maker(update_ops.BatchNorm, decay=0.9, epsilon=1e-3)("bn1", (None, 100)).name
        'bn1'
    """
    factory = flattened(factory)
    if isinstance(factory, partial) and not is_variant(factory):
        # what every variant's node has: a custom layer is given these by whatever names it has for them
        kept = {key: value for key, value in factory.keywords.items() if key not in overrides}
        factory = partial(factory.func, *factory.args, **kept)
    adaptations: dict[Shape, Adaptation] = {}

    def make(name: str, shape: Shape) -> BatchNorm:
        if is_variant(factory):
            given = {key: value for key, value in (overrides | {"name": name}).items() if accepts(factory, key)}
            return factory(**given)  # type: ignore[no-any-return]
        place = Place(name, shape, overrides.get("decay"), overrides.get("epsilon"), updates, seed)
        if shape not in adaptations:
            adaptations[shape] = adapt(factory, place)
        found = adaptations[shape]
        layer = CustomLayer(found.way, place, statistics=found.statistics)
        return layer.thing if is_variant(layer.thing) else layer

    return make


def is_variant(factory: Any) -> bool:
    """Tells whether a layer, or what makes one, is written for bnexp: it has traits and a train op of its own.

    Args:
        factory: a layer, its class, or a `functools.partial` of that.

    Example:
        >>> is_variant(update_ops.BatchNorm), is_variant(tf.keras.layers.BatchNormalization)
        (True, False)
    """
    target = flattened(factory).func if isinstance(factory, partial) else factory
    return hasattr(target, "traits") and hasattr(target, "train_op")


def accepts(factory: Callable[..., Any], name: str) -> bool:
    """Tells whether a variant's factory takes an argument of a given name.

    Args:
        factory: a class or a function, or a `functools.partial` of one.
        name: the name of the argument, such as `"decay"`.

    Example:
        >>> accepts(update_ops.BatchNorm, "decay"), accepts(update_ops.BatchNorm, "momentum")
        (True, False)
    """
    target = flattened(factory).func if isinstance(factory, partial) else factory
    return name in inspect.signature(target).parameters


def updates_left(graph: Graph) -> list[str]:
    """Returns where custom layers have left the updates that the train op runs; empty if they have left none.

    Args:
        graph: the network's graph, whose train op has been made.

    Example:
        >>> updates_left(model.graph)
        []
    """
    found = [one.where for layer in graph.layers.values() for one in getattr(layer, "left", ())]
    return list(dict.fromkeys(found))


def taken_by(layer: Any) -> frozenset[str]:
    """Returns those of `"decay"` and `"epsilon"` that reach a layer; a variant takes what its class takes.

    Args:
        layer: one of `Graph.layers`.

    Example:
        >>> sorted(taken_by(model.graph.layers["bn1"]))
        ['decay', 'epsilon']
    """
    if isinstance(layer, CustomLayer):
        return layer.takes
    return frozenset(name for name in ("decay", "epsilon") if accepts(type(layer), name))
