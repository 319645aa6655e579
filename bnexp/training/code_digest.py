"""A digest of the code that a job runs: a training is shared only between jobs whose code is the same."""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from importlib.util import resolve_name
from pathlib import Path
from sysconfig import get_paths
from typing import Any

PACKAGE = Path(__file__).parents[1]

# folders of installed packages, which are not edited between two jobs
INSTALLED = tuple(
    {path for name, path in get_paths().items() if name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def source_digest(names: Iterable[str]) -> str:
    """Returns a SHA-256 over the source of bnexp, of the modules of `names`, and of all modules that these import.

    Installed packages do not count, nor does what a function imports only when it is called.

    Args:
        names: the full names of functions or classes whose modules have been imported.

    Example:
        >>> len(source_digest(["bnexp.network.mlp.mlp"]))
        64
    """
    digests = {str(path.relative_to(PACKAGE)): _source(str(path))[0] for path in PACKAGE.rglob("*.py")}
    waiting = [prefix for name in names for prefix in _prefixes(name)]
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None) or ""
        if module is not None and name not in digests and file.endswith(".py") and not file.startswith(INSTALLED):
            digests[name], imported = _source(file)
            waiting += [prefix for other in imported for prefix in _prefixes(_absolute(other, module.__package__))]
    return sha256(repr(sorted(digests.items())).encode()).hexdigest()


def targets(node: Any) -> Iterator[str]:
    """Yields every `_target_` in a config.

    Args:
        node: a resolved config or a part of one: nested dicts and lists.

    Example:
        >>> list(targets({"network": {"_target_": "bnexp.network.mlp.mlp", "widths": [100]}}))
        ['bnexp.network.mlp.mlp']
    """
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from targets(value)


def _prefixes(name: str) -> list[str]:
    """Returns the beginnings of a full name that may be modules; none for bnexp, all of whose source counts anyway."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)] if parts[0] != PACKAGE.name else []


def _absolute(name: str, package: str | None) -> str:
    return resolve_name(name, package) if name.startswith(".") else name


@cache  # read once: later edits do not change what this process has imported
def _source(file: str) -> tuple[str, list[str]]:
    """Returns a file's digest, and the names that its module imports at import time."""
    content = Path(file).read_bytes()
    imported = [] if Path(file).is_relative_to(PACKAGE) else list(_imports(ast.parse(content)))
    return sha256(content).hexdigest(), imported


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        origin = "." * node.level + (f"{node.module}." if node.module else "")
        yield from (origin + alias.name for alias in node.names)
    elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        # imports inside functions are left out: whether they have happened depends on what the process did before
        for child in ast.iter_child_nodes(node):
            yield from _imports(child)
