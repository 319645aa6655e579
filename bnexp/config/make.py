"""Makes what a node of the settings describes: a dataset, or the callable of a network, a variant or a final pass."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from bnexp.config.blame import blame, line_of
from bnexp.config.imports import call_of_class, import_target
from bnexp.config.renamed import renamed_target
from bnexp.config.settings import OF_THE_LAYER, Settings
from bnexp.errors import UserError, first_line


def make(settings: Settings, group: str) -> Any:
    """Makes what a config group describes.

    Args:
        settings: the settings of the run.
        group: the config group: `"dataset"`, `"network"`, `"variant"`, `"optimizer"` or `"final_pass"`.

    Returns:
        A `Dataset`, a tf.compat.v1.train optimizer, or the callable that the node's `_target_` names, with the node's
        keys as its arguments.

    Raises:
        UserError: the `_target_` cannot be imported, it takes no such key, or it rejects a value.

    Example:
        >>> make(settings, "dataset").x_train.shape
        (1442, 8, 8, 1)
    """
    called, node = _checked(getattr(settings, group), group)
    try:
        made = instantiate(node)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        key, cause = f"{group}._target_={node['_target_']}", error.__cause__
        if cause is not None:
            line = line_of(cause, node["_target_"])
            if line is None and node["_target_"].startswith("bnexp."):
                raise cause  # noqa: B904  (a bug in bnexp: its own traceback tells most)
            raise UserError(blame(cause, key, line)) from cause
        raise UserError(f"{key}: cannot be made ({first_line(error)}).") from error
    # Hydra puts a function of its own around the target, which would hide what the target is and takes
    return partial(called, **made.keywords) if node.get("_partial_") else made


def _checked(node: Mapping[str, Any], group: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Returns the target, and the node with only the keys that its target takes, which can then be called with them.

    `decay` and `epsilon` are in every variant's file, whether the user has set them or not: for a custom layer that
    does not take them they are left out.

    Raises:
        UserError: the target cannot be imported, or does not take another key.
    """
    target = renamed_target(node["_target_"])
    called = import_target(target, group)
    parameters = _parameters_of(called, f"{group}._target_={target}")
    node = {**node, "_target_": target}
    unknown = [key for key in node if not key.startswith("_") and key not in parameters]
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    # a layer's call may take more than its class does
    later = call_of_class(called)
    in_call = _parameters_of(later, target) if group == "variant" and callable(later) else {}
    for key in unknown:
        if key in in_call:
            continue
        if not anything and (group != "variant" or key not in OF_THE_LAYER):
            takes = ", ".join(name for name in parameters if name in node) or "no key"
            raise UserError(f"{group}.{key}={node[key]}: {target} takes no {key}. Leave it out; it takes {takes}.")
    # a layer's **kwargs are no arguments of the layer: only what the user writes there is passed on
    left_out = [key for key in unknown if group == "variant" and key in OF_THE_LAYER]
    return called, {key: value for key, value in node.items() if key not in left_out}


def _parameters_of(target: Any, key: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{key}: cannot be loaded ({first_line(error)}). "
            "Write the full name of a class or function that can be imported."
        ) from error
