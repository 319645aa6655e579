"""A process of its own for each library, so that none shares threads or memory with another; calls go one at a time."""

import multiprocessing
import os
import traceback
from multiprocessing.connection import Connection
from time import perf_counter, process_time
from typing import Any

from .contenders import Entry
from .problem import Problem
from .timing import Clock


class Worker:
    """Contenders of one library in a fresh process."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far,), daemon=True)
        self._process.start()
        far.close()

    def make(self, entry: Entry, problem: Problem) -> None:
        """Makes a contender, once."""
        self._ask(("make", entry, problem))

    def call(self, entry: Entry, problem: Problem, method: str, *arguments: Any) -> tuple[Clock, Any]:
        """Calls a method of a contender; returns the time it took and what it returned."""
        answer: tuple[Clock, Any] = self._ask(("call", (entry.name, problem.network), method, arguments))
        return answer

    def get(self, entry: Entry, problem: Problem, attribute: str) -> Any:
        """Returns an attribute of a contender."""
        return self._ask(("get", (entry.name, problem.network), attribute))

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def _ask(self, question: tuple[Any, ...]) -> Any:
        self._pipe.send(question)
        failure, answer = self._pipe.recv()
        if failure:
            raise RuntimeError(f"in the process of {question[1]}:\n{failure}")
        return answer


def _serve(pipe: Connection) -> None:
    # the start-up notes of native libraries; what goes wrong comes back as an answer
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    made: dict[tuple[str, str], Any] = {}
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("", _answer(made, *question)))
        except Exception:
            pipe.send((traceback.format_exc(), None))


def _answer(made: dict[tuple[str, str], Any], kind: str, which: Any, *rest: Any) -> Any:
    if kind == "make":
        (problem,) = rest
        if (which.name, problem.network) not in made:
            made[which.name, problem.network] = which.make(problem)
        return None
    if kind == "get":
        return getattr(made[which], rest[0])
    method, arguments = rest
    started, worked = perf_counter(), process_time()
    result = getattr(made[which], method)(*arguments)
    return Clock(perf_counter() - started, process_time() - worked), result
