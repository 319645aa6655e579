"""Former names, which configs and stored runs may still use, and the present ones."""

import re
from collections.abc import Iterable

VARIANTS = {"sample_wise": "layer_norm"}


def renamed_variant(name: str) -> str:
    """Returns the present name of a variant; a name that has not changed is returned as it is.

    Args:
        name: the name of a variant, present or former.

    Example:
        >>> renamed_variant("sample_wise"), renamed_variant("ema")
        ('layer_norm', 'ema')
    """
    return VARIANTS.get(name, name)


def renamed_target(target: str) -> str:
    """Returns a `_target_` with the present name of its variant.

    Args:
        target: the full name of a class or function; one outside `bnexp.variant` is returned as it is.

    Example:
        >>> renamed_target("bnexp.variant.sample_wise.BatchNorm")
        'bnexp.variant.layer_norm.BatchNorm'
    """
    return re.sub(r"(?<=^bnexp\.variant\.)\w+", _renamed, target)


def renamed_arguments(arguments: Iterable[str]) -> list[str]:
    """Returns the arguments of a command line with the present names in `variant=...`.

    Args:
        arguments: the arguments as the user wrote them; `variant=` may have a sweep's list.

    Example:
        >>> renamed_arguments(["-m", "variant=ema,sample_wise"])
        ['-m', 'variant=ema,layer_norm']
    """
    return [re.sub(r"\w+", _renamed, given) if given.startswith("variant=") else given for given in arguments]


def _renamed(found: re.Match[str]) -> str:
    return renamed_variant(found[0])
