"""Where the configs are. Imports no Hydra, so that `--help` answers at once."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]

# a wheel carries the configs inside the package; a checkout has them beside it
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


def names_in(group: str) -> list[str]:
    """Returns the names in a config group, sorted: its YAML files without their ending.

    Args:
        group: the group's folder in conf/, such as `"variant"`; a folder that does not exist gives no names.

    Example:
        >>> names_in("optimizer")
        ['adam', 'momentum', 'sgd']
    """
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))
