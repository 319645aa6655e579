"""What the tests of a user's own modules share."""

import sys

import pytest


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a module of the user's that can be imported, and returns its file."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(source, name="own_layer"):
        file = tmp_path / f"{name}.py"
        file.write_text(source)
        written.append(name)
        return str(file)

    yield write
    for name in written:
        sys.modules.pop(name, None)
