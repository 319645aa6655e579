"""What stands around the code: what it installs, what its wheel carries, and the commands that README promises."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()

# runs bnexp as `python -m` does and says which of the slow modules that brought in
SPY = """
import runpy, sys
try:
    runpy.run_module("bnexp", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
slow = {"tensorflow", "keras", "mlflow", "sklearn", "matplotlib", "pandas"}
print("imported:", *sorted(slow & set(sys.modules)))
"""


def spy(*arguments, folder, path=ROOT):
    """Runs bnexp from `path` in `folder` and returns what it printed, the slow modules on the last line."""
    line = [sys.executable, "-c", SPY, *arguments]
    environment = os.environ | {"PYTHONPATH": str(path)}
    result = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def own_files():
    """Yields the repository's files: all but what .gitignore names."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()] + [".git"]
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in ignored)]
        yield from (Path(folder, name) for name in files)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--help"], "  variant     update_ops (default), always_batch,"),
        (["--cfg", "job"], "_target_: bnexp.variant.update_ops."),
        (["variant=ema", "--cfg", "job", "--resolve"], "_target_: bnexp.variant.ema."),
        (["variant=ema", "--help"], "_target_: bnexp.variant.ema."),
        (["--info", "defaults"], "variant/update_ops"),
    ],
)
def test_questions_about_the_config_import_nothing_slow(arguments, answer, tmp_path):
    *printed, imported = spy(*arguments, folder=tmp_path)
    assert any(answer in line for line in printed)
    assert imported == "imported:"
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built without a network by the hatchling of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT]
    subprocess.run(line, capture_output=True, check=True)
    (path,) = folder.iterdir()
    return path


def test_the_wheel_carries_package_and_configs_and_nothing_else(wheel):
    package = {path.relative_to(ROOT).as_posix() for path in own_files() if path.is_relative_to(ROOT / "bnexp")}
    configs = {
        f"bnexp/{path.relative_to(ROOT).as_posix()}" for path in own_files() if path.is_relative_to(ROOT / "conf")
    }
    with ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert "bnexp/conf/config.yaml" in carried
    assert carried == package | configs


def test_the_wheel_finds_its_configs_far_from_the_checkout(wheel, tmp_path):
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with ZipFile(wheel) as archive:
        archive.extractall(installed)
    *printed, _ = spy("--info", "searchpath", folder=empty, path=installed)
    (line,) = (line for line in printed if line.startswith("| main"))
    assert str(installed / "bnexp" / "conf") in line


def test_dependencies_are_what_the_package_imports():
    imported = set()
    for path in ROOT.glob("bnexp/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    distributions = packages_distributions()
    # Ray is imported where its launcher was asked for, and so is there: it is the package of an extra's own name
    foreign = imported - set(sys.stdlib_module_names) - {"bnexp"} - PROJECT["optional-dependencies"].keys()
    # of several distributions that share a package (mlflow and its parts) the shortest name is the whole
    needed = {min(distributions[name], key=len).lower() for name in foreign}
    assert needed == {re.match("[A-Za-z0-9-]+", line)[0].lower() for line in PROJECT["dependencies"]}


def test_dependencies_are_ranges():
    lines = PROJECT["dependencies"] + [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    for line in lines:
        if line.startswith("bnexp["):  # extras of its own
            continue
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z-]+\])?>=[0-9.]+,<[0-9.]+", line), line


def test_ci_runs_the_test_command_of_readme():
    (line,) = re.findall(r"<!-- test -->\n```sh\n(.*)\n```", README)
    assert line.endswith("python -m pytest")
    assert line in [ci.strip() for ci in (ROOT / ".ci" / "run").read_text().splitlines()]


def test_readme_installs_and_runs_in_one_line():
    (line,) = re.findall(r"<!-- run -->\n```sh\n(.*)\n```", README)
    assert line.endswith("python -m pip install -e . && python -m bnexp")


def test_readme_links_to_files_that_are_there():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_no_file_names_a_package_registry():
    host = re.compile(rb"(pypi|pythonhosted|npmjs)\.(org|com)")
    assert [path for path in own_files() if host.search(path.read_bytes())] == []
