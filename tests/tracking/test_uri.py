"""Tracking URIs: what is shown of them, and the file that one names."""

import pytest

from bnexp.tracking.uri import sqlite_file, without_password


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:///runs/mlflow.db", "sqlite:///runs/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("https://me:s:ecret@host/x@y", "https://me:***@host/x@y"),
        ("https://me@host", "https://me@host"),
    ],
)
def test_a_password_is_never_shown(uri, shown):
    assert without_password(uri) == shown


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:///runs/mlflow.db", "runs/mlflow.db"),
        ("sqlite:////srv/mlflow.db?timeout=60", "/srv/mlflow.db"),
        ("http://127.0.0.1:5000", None),
        ("postgresql://me@host/mlflow", None),
    ],
)
def test_the_file_of_a_store(uri, file):
    assert sqlite_file(uri) == file
