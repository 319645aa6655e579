"""Data flows one way, and so do imports: README's table of packages is their order, and no import goes up in it."""

import ast
import re
from pathlib import Path

import bnexp

PACKAGE = Path(bnexp.__file__).parent
README = (PACKAGE.parent / "README.md").read_text()
TABLE = README.partition("<!-- packages -->")[2].partition("<!-- /packages -->")[0]

# a package or module may import from itself and from what stands before it
ORDER = [*re.findall(r"^\| `(\w+)` \|", TABLE, re.MULTILINE), "__main__"]

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")

# where a config is composed, checked, or turned into objects: elsewhere it is `Settings`
DOOR = {"config", "sweep", "cli", "run"}

# and single modules that ask Hydra or OmegaConf for something else: to instantiate a variant by its name, to read or
# write a config.yaml
BESIDE = {"graph/layer.py", "record/artifacts.py", "record/restore.py"}

# a package whose modules are imported one by one: its `__init__` says what it holds, and loads nothing
LIGHT = ("config", "runtime", "storage", "statistics", "tracking", "record", "diagnosis", "sweep", "cli")


def stage(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


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


IMPORTS = {path: imports(path) for path in MODULES}


def test_no_package_imports_a_later_one():
    assert set(ORDER) == {stage(path) for path in MODULES}
    up = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path, names in IMPORTS.items()
        for other in stages_of(names) - {stage(path)}
        if ORDER.index(other) > ORDER.index(stage(path))
    ]
    assert not up


def test_modules_import_each_other_in_no_circle():
    """Also within a package, and also by an import inside a function."""
    known = {".".join(("bnexp", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in MODULES}
    known = {name.removesuffix(".__init__"): path for name, path in known.items()}
    needs = {name: {other for other in IMPORTS[path] & known.keys() if other != name} for name, path in known.items()}
    # a package's own modules may name it, as they are parts of it; what it re-exports from them is no circle
    needs = {name: {o for o in others if not name.startswith(f"{o}.")} for name, others in needs.items()}
    while leaves := {name for name, others in needs.items() if not others & needs.keys()}:
        for name in leaves:
            del needs[name]
    assert not needs


def test_only_tracking_imports_mlflow():
    found = {path for path, names in IMPORTS.items() if any(name.split(".")[0] == "mlflow" for name in names)}
    assert {stage(path) for path in found} == {"tracking"}


def test_a_config_stops_at_the_door():
    found = {path for path, names in IMPORTS.items() if any(name.startswith(("omegaconf", "hydra")) for name in names)}
    assert {str(p.relative_to(PACKAGE)) for p in found if stage(p) not in DOOR} == BESIDE


def test_the_root_holds_packages_and_doors_alone():
    doors = {"__init__", "__main__", "run", "sync", "probe", "errors", "names"}
    assert {path.stem for path in PACKAGE.glob("*.py")} == doors


def test_packages_whose_modules_are_imported_one_by_one_load_nothing():
    for name in LIGHT:
        body = ast.parse((PACKAGE / name / "__init__.py").read_text()).body
        assert [type(node) for node in body] == [ast.Expr], name


def test_the_test_can_tell(tmp_path):
    module = tmp_path / "x.py"
    module.write_text("import os\nfrom bnexp.run import a\ndef f():\n    from bnexp import b\n    import bnexp.c.d\n")
    assert stages_of(imports(module)) == {"run", "b", "c"}
