"""The code behind a job, as far as its user may edit it: a training is shared only between jobs of the same code."""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from importlib.util import resolve_name
from pathlib import Path
from sysconfig import get_paths
from typing import Any

PACKAGE = Path(__file__).parent

# what is installed is not edited between two jobs
INSTALLED = tuple(
    {path for name, path in get_paths().items() if name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def source_digest(names: Iterable[str]) -> str:
    """Returns what changes with bnexp's source, with that of `names`, and with that of all modules that these import.

    Args:
        names: full names of functions or classes, whose modules are imported.
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
    """Yields every `_target_` in a config that was resolved to plain dicts and lists."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from targets(value)


def _prefixes(name: str) -> list[str]:
    """Returns what of a full name may be a module; bnexp's own stand apart, as some are only imported when needed."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)] if parts[0] != PACKAGE.name else []


def _absolute(name: str, package: str | None) -> str:
    return resolve_name(name, package) if name.startswith(".") else name


@cache  # read once: what is edited later is not what this process has imported
def _source(file: str) -> tuple[str, list[str]]:
    """Returns a file's digest, and the names that its module imports when it is itself imported."""
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
        # what a function imports when it is called may be there or not, depending on what the process did before
        for child in ast.iter_child_nodes(node):
            yield from _imports(child)
