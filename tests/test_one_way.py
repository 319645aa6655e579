"""Data flows one way, and so do imports: no stage knows of a later one."""

import ast
from pathlib import Path

import pytest

import bnexp

PACKAGE = Path(bnexp.__file__).parent

# the order in which an experiment happens; a module or package may import from itself and from what stands before it
ORDER = (
    "errors",
    "interrupt",
    "quiet",
    "imports",
    "manual",
    "config",
    "folders",
    "threads",
    "device",
    "dataset",
    "reference",
    "variant",
    "network",
    "ancestry",
    "averaging",
    "layer",
    "graph",
    "engine",
    "probe",
    "moments",
    "model",
    "build",
    "kept",
    "checkpoint",
    "train",
    "source",
    "shared",
    "trajectory",
    "final_pass",
    "evaluate",
    "ladder",
    "training",
    "audit",
    "recurrence",
    "normalisation",
    "specimen",
    "fingerprint",
    "verdict",
    "diagnose",
    "examine",
    "plot",
    "report",
    "journal",
    "tracking_store",
    "attempts",
    "track",
    "compare",
    "launchers",
    "sweep",
    "sharing",
    "restore",
    "record",
    "run",
    "command",
    "__main__",
    "sync",
)

# where a config is composed, checked, or turned into objects
DOOR = (
    "config",
    "folders",
    "build",
    "kept",
    "layer",
    "restore",
    "record",
    "run",
    "launchers",
    "sweep",
    "sharing",
    "compare",
    "command",
)


def stage(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports(path):
    """Returns the dotted names of all that a module imports, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def stages_of(names):
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "bnexp" and len(part) > 1}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_stage_imports_a_later_one(path):
    own = stage(path)
    assert own in ORDER, f"{own} has no place in ORDER yet"
    later = {other for other in stages_of(imports(path)) if ORDER.index(other) > ORDER.index(own)}
    assert not later


def test_the_order_names_nothing_that_is_gone():
    assert set(ORDER) == {stage(path) for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_tracking_side_knows_mlflow(path):
    if any(name.split(".")[0] == "mlflow" for name in imports(path)):
        assert stage(path) in ("tracking_store", "compare")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_config_stops_at_the_door(path):
    """Below run.py functions take named arguments; only what composes or builds from a config reads one."""
    if any(name.startswith(("omegaconf", "hydra")) for name in imports(path)):
        assert stage(path) in DOOR


def test_the_test_can_tell(tmp_path):
    module = tmp_path / "x.py"
    module.write_text("import os\nfrom bnexp.run import a\ndef f():\n    from bnexp import b\n    import bnexp.c.d\n")
    assert stages_of(imports(module)) == {"run", "b", "c"}
