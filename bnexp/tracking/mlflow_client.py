"""Imports MLflow with bnexp's settings: requests to a server time out after a while, and nothing is printed."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# environment variables of MLflow, unless the user has set them. A run whose store has gone away waits this long once,
# and then continues without it
REQUEST_TIMEOUT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
# shorter timeouts, for finding out whether a server answers at all
CONNECT_TIMEOUT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
SILENCE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the URL is in the report
}
_USERS_OWN = frozenset(os.environ)
os.environ.update({key: value for key, value in (REQUEST_TIMEOUT | SILENCE).items() if key not in _USERS_OWN})

from mlflow import MlflowClient as MlflowClient  # noqa: E402  (reads the settings above)
from mlflow.entities import Metric as Metric  # noqa: E402
from mlflow.entities import Param as Param  # noqa: E402
from mlflow.entities import RunTag as RunTag  # noqa: E402
from mlflow.exceptions import MlflowException as MlflowException  # noqa: E402

# MLflow logs the creation of tables, and urllib3 each failed attempt to reach a server; their errors arrive as
# exceptions
logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs a traceback for a full disk
logging.getLogger("urllib3").setLevel(logging.ERROR)


@contextmanager
def mlflow_settings(values: Mapping[str, str]) -> Iterator[None]:
    """Changes MLflow's settings in the block, except those that the user has set.

    Args:
        values: the environment variables to set, such as `CONNECT_TIMEOUT`.

    Example:
        >>> with mlflow_settings(CONNECT_TIMEOUT):
        ...     client = MlflowClient(tracking_uri=uri)
    """
    kept = {key: os.environ[key] for key in values if key not in _USERS_OWN}
    os.environ.update({key: values[key] for key in kept})
    try:
        yield
    finally:
        os.environ.update(kept)
