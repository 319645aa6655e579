"""Tracking URIs: without their password, and the file that an SQLite URI names. Imports no MLflow."""

import re


def without_password(uri: str) -> str:
    """Returns a tracking URI with `***` in place of a password, so that it can be printed and stored.

    Args:
        uri: any tracking URI.

    Example:
        >>> without_password("postgresql://me:secret@host/db")
        'postgresql://me:***@host/db'
    """
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)


def sqlite_file(uri: str) -> str | None:
    """Returns the path of the database file that an SQLite tracking URI names; None for any other URI.

    Args:
        uri: any tracking URI.

    Example:
        >>> sqlite_file("sqlite:///runs/mlflow.db"), sqlite_file("http://127.0.0.1:5000")
        ('runs/mlflow.db', None)
    """
    prefix = "sqlite:///"
    return uri.removeprefix(prefix).partition("?")[0] if uri.startswith(prefix) else None
