"""A call in a fresh process, so that nothing that was imported or compiled before helps or hinders it."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any


def in_process(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Returns what `function` returns in a process of its own, whose libraries' notes nobody hears."""
    with multiprocessing.get_context("spawn").Pool(1, initializer=_silent) as pool:
        return pool.apply(function, arguments, keywords)


def _silent() -> None:
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
