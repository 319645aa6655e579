"""Makes what a node of the settings describes: a dataset, or the callable of a network, a variant or a final pass."""

import inspect
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

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
    node = _checked(getattr(settings, group), group)
    try:
        return instantiate(node)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        if error.__cause__ is not None:
            raise error.__cause__  # noqa: B904  (a bug, in bnexp or in the user's own code: its own traceback tells most)
        raise UserError(f"{group}._target_={node['_target_']}: cannot be made ({first_line(error)}).") from error


def _checked(node: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Returns the node with only the keys that its target takes, which can then be called with them.

    `decay` and `epsilon` are in every variant's file, whether the user has set them or not: for a custom layer that
    does not take them they are left out.

    Raises:
        UserError: the target cannot be imported, or does not take another key.
    """
    target = renamed_target(node["_target_"])
    try:
        parameters = inspect.signature(resolve_name(target)).parameters
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{group}._target_={target}: cannot be loaded ({first_line(error)}). "
            "Write the full name of a class or function that can be imported."
        ) from error
    node = {**node, "_target_": target}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return node
    unknown = [key for key in node if not key.startswith("_") and key not in parameters]
    for key in unknown:
        if group != "variant" or key not in OF_THE_LAYER:
            takes = ", ".join(name for name in parameters if name in node) or "no key"
            raise UserError(f"{group}.{key}={node[key]}: {target} takes no {key}. Leave it out; it takes {takes}.")
    return {key: value for key, value in node.items() if key not in unknown}
