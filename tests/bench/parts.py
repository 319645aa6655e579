"""Parts of a run that have no peer: recording, tracking, compilation; each called in a process of its own."""

from collections.abc import Callable
from functools import wraps
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import hydra
from omegaconf import open_dict

from bnexp.config.paths import CONF_DIR
from bnexp.engine import Engine
from bnexp.run import run
from bnexp.tracking.tracker import Tracker

from .contenders.own import Contender
from .problem import Problem

# what the tracker does for a run between its start and its end
TRACKED = ("identify", "start", "log", "flush", "tag", "table", "artifacts", "__exit__")


def recording_cost(problem: Problem, *, steps: int, repetitions: int) -> list[float]:
    """Returns, of each repetition, processor time of recorded steps over that of steps that record next to nothing.

    The other program has the same training step, and of its outputs the loss, the accuracy and one layer's moving mean:
    something must wait for the updates.
    """
    own = Contender(problem)
    engine: Engine = own.model._engine
    bare = engine.program(engine.graph.train.only(["loss", "accuracy", "bn1/moving_mean"]), calls=steps)
    inputs = [own.dataset.x_train, own.dataset.y_train]
    rows = problem.order[:steps]
    ratios = []
    for repetition in range(repetitions + 1):
        recorded = _cpu(lambda: own.model.train(*inputs, rows, calls=steps))
        alone = _cpu(lambda: bare(inputs, rows))
        if repetition:  # the first compiles
            ratios.append(recorded / alone)
    return ratios


def compilation(problem: Problem, *, steps: int) -> tuple[float, float]:
    """Returns seconds on the wall and of the processor that the first call of a training loop takes beyond the second."""
    own = Contender(problem)
    calls = lambda: own.model.train(own.dataset.x_train, own.dataset.y_train, problem.order[:steps], calls=steps)  # noqa: E731
    times = []
    for _ in range(3):
        started, worked = perf_counter(), process_time()
        calls()
        times.append((perf_counter() - started, process_time() - worked))
    return times[0][0] - median(t[0] for t in times[1:]), times[0][1] - median(t[1] for t in times[1:])


def tracking(*, steps: int) -> dict[str, float]:
    """Returns the seconds that a run of the default job spends in its tracker, the store's start-up apart.

    The first run makes the tables; the second is measured.
    """
    spent: dict[str, float] = {}
    with TemporaryDirectory() as folder, hydra.initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        uri = f"sqlite:///{folder}/mlflow.db"
        for number in (1, 2):
            overrides = [f"steps={100 if number == 1 else steps}", f"tracking.uri={uri}"]
            config = hydra.compose("config", overrides, return_hydra_config=True)
            choices = dict(config.hydra.runtime.choices)
            with open_dict(config):
                del config["hydra"]
            if number == 2:
                for name in TRACKED:
                    setattr(Tracker, name, _timed(getattr(Tracker, name), name, spent))
            run(config, choices=choices, overrides=overrides)
    return spent


def _timed(method: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    @wraps(method)
    def timed(*arguments: Any, **keywords: Any) -> Any:
        inside = sum(spent.values())
        started = perf_counter()
        try:
            return method(*arguments, **keywords)
        finally:
            # a method that calls another of them does not count its seconds again
            inner = sum(spent.values()) - inside
            spent[name] = spent.get(name, 0.0) + perf_counter() - started - inner

    return timed


def _cpu(call: Callable[[], object]) -> float:
    worked = process_time()
    call()
    return process_time() - worked
