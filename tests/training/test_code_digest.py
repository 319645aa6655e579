"""Which edits of the source make another job of the same config."""

import importlib
import sys

import pytest

from bnexp.training import code_digest
from bnexp.training.code_digest import source_digest, targets

FILES = {
    "mylab/__init__.py": "",
    "mylab/nets.py": "import json\n\nfrom mylab import sizes\nfrom .deep.blocks import block\n\n\ndef net(): pass\n",
    "mylab/sizes.py": "WIDTH = 3\n",
    "mylab/deep/__init__.py": "",
    "mylab/deep/blocks.py": "from ..losses import loss\n\n\ndef block(): pass\n",
    "mylab/losses.py": "def loss(): pass\n",
    "mylab/plots.py": "from mylab import nets\n",
}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A user's package, and what a new process would make of it."""
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    monkeypatch.syspath_prepend(tmp_path)

    def digest(name="mylab.nets.net"):
        code_digest._source.cache_clear()
        importlib.invalidate_caches()
        importlib.import_module("mylab.nets")
        return source_digest([name])

    yield tmp_path, digest
    for name in [name for name in sys.modules if name.split(".")[0] == "mylab"]:
        del sys.modules[name]
    code_digest._source.cache_clear()


@pytest.mark.parametrize("name", ["nets", "sizes", "deep/blocks", "losses", "__init__"])
def test_an_edit_of_what_a_network_is_made_of_is_noticed(lab, name):
    folder, digest = lab
    before = digest()
    (folder / f"mylab/{name}.py").write_text("# edited\n" + FILES[f"mylab/{name}.py"])
    assert digest() != before


def test_an_edit_elsewhere_and_what_else_was_imported_make_no_difference(lab):
    folder, digest = lab
    before = digest()
    (folder / "mylab/plots.py").write_text("# edited\n")
    importlib.import_module("mylab.plots")
    assert digest() == before


def test_a_file_that_is_edited_after_its_import_is_not_what_runs(lab):
    folder, digest = lab
    before = digest()
    (folder / "mylab/nets.py").write_text("# edited\n")
    assert source_digest(["mylab.nets.net"]) == before


def test_bnexp_s_own_source_counts(tmp_path, monkeypatch):
    (tmp_path / "graph.py").write_text("loss = 1\n")
    monkeypatch.setattr(code_digest, "PACKAGE", tmp_path)
    before = source_digest([])
    code_digest._source.cache_clear()
    (tmp_path / "graph.py").write_text("loss = 2\n")
    assert source_digest([]) != before
    code_digest._source.cache_clear()


def test_every_target_is_found():
    config = {"network": {"_target_": "a.b", "norm": {"_target_": "c"}}, "list": [{"_target_": "d"}, 3], "steps": 1}
    assert list(targets(config)) == ["a.b", "c", "d"]
