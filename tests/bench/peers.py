"""bnexp and its peers on the same network: agreement first, then the clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from .agreement import MOMENTS_TOLERANCE, SUMS_TOLERANCE, check_losses, check_moments, check_outputs
from .contenders import PASSES, Entry, entries
from .exact import exact
from .problem import Problem
from .timing import Clock, interleaved
from .worker import Worker

OWN = "bnexp"
STEPS_ALONE = "bnexp, steps alone"

# steps and examples that bnexp does in a repetition; a peer does its share of them
SIZES = {
    ("training", "mlp"): 2000,
    ("training", "cnn"): 1000,
    ("evaluation", "mlp"): 10_000,
    ("evaluation", "cnn"): 10_000,
    ("final pass", "mlp"): 60_000,
    ("final pass", "cnn"): 10_000,
}

# times slower than the best of its family
HOPELESS = 4.0

# seconds below which a task is run once for nothing before it is timed: while others ran, a virtual machine may have lent the
# memory of a process that slept to somebody else, and to get it back takes longer than some tasks do
WAKES_FIRST = 3.0

# examples whose moments are checked against float64: whole batches of 60 and of 64
CHECKED = 1920


@dataclass(frozen=True)
class Timing:
    """What one contender took for one work.

    Attributes:
        family: its library, or how it is set up.
        amount: steps or examples in a repetition.
        clocks: of each repetition.
        first: seconds of the first, untimed call, with compilation.
        distance: of its losses or outputs from bnexp's.
    """

    family: str
    amount: int
    clocks: list[Clock]
    first: float
    distance: float

    @property
    def rates(self) -> list[float]:
        return [self.amount / clock.seconds for clock in self.clocks]

    @property
    def rate(self) -> float:
        return median(self.rates)

    @property
    def cpu(self) -> float:
        """Processor seconds of one step or example."""
        return median(clock.cpu for clock in self.clocks) / self.amount


# a contender, what it does in a repetition, the seconds of its first call, its distance from bnexp
_First = tuple[Entry, int, float, float]


class Peers:
    """The workers of a benchmark, started as they are needed, one for each library."""

    def __init__(self, *, repetitions: int, scale: float, say: Callable[[str], None]) -> None:
        self._workers: dict[str, Worker] = {}
        self._repetitions, self._scale, self._say = repetitions, scale, say

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()

    def steps(self, network: str) -> int:
        """Returns the steps that bnexp trains in a repetition."""
        return self._amount("training", network)

    def prepare(self, problem: Problem) -> Problem:
        """Makes bnexp's model and returns the problem with its weights."""
        (own, *_) = entries(problem.network, "training")
        worker = self._worker(own)
        worker.make(own, problem)
        _, state = worker.call(own, problem, "state")
        return problem.starting_from(state)

    def training(self, problem: Problem) -> dict[str, Timing]:
        """Times training; bnexp's with recording every step and with its snapshots, and its steps alone."""
        amount = self._amount("training", problem.network)
        expected: np.ndarray = np.empty(0)
        firsts: dict[str, _First] = {}
        tasks: dict[str, Callable[[], Clock]] = {}
        for entry in entries(problem.network, "training"):
            own = self._make(entry, problem)
            count = _share(amount, entry, at_least=60)
            own("load", problem.state)
            clock, losses = own("train", count)
            expected = losses if entry.name == OWN else expected
            block = self._worker(entry).get(entry, problem, "block")
            distance = check_losses(entry.name, losses, expected, block=block, kinks=problem.network == "cnn")
            firsts[entry.name] = entry, count, clock.seconds, distance
            self._say(f"  {entry.name}: losses agree to {distance:.1e}; first call {clock.seconds:.2f} s")

            def task(own: Callable[..., Any] = own, count: int = count) -> Clock:
                own("load", problem.state)
                return _clock(own, "train", count)

            def steps_alone(entry: Entry = entry, task: Callable[[], Clock] = task) -> Clock:
                clock = task()
                return Clock(self._worker(entry).get(entry, problem, "seconds_of_steps"), clock.cpu)

            tasks[entry.name] = task
            if entry.name == OWN:
                firsts[STEPS_ALONE] = replace(entry, family=STEPS_ALONE), count, clock.seconds, distance
                tasks[STEPS_ALONE] = steps_alone
        return self._timed(firsts, tasks)

    def evaluation(self, problem: Problem) -> dict[str, Timing]:
        """Times inference with batch_size=1; everybody has the weights that bnexp ended its training with."""
        (bnexp, *_) = entries(problem.network, "evaluation")
        _, trained = self._worker(bnexp).call(bnexp, problem, "state")
        amount = self._amount("evaluation", problem.network)
        expected: np.ndarray = np.empty(0)
        firsts: dict[str, _First] = {}
        tasks: dict[str, Callable[[], Clock]] = {}
        for entry in entries(problem.network, "evaluation"):
            own = self._make(entry, problem)
            own("load", trained)
            count = _share(amount, entry, at_least=100)
            clock, outputs = own("predict", count)
            expected = outputs if entry.name == OWN else expected
            distance = check_outputs(entry.name, outputs, expected)
            firsts[entry.name] = entry, count, clock.seconds, distance
            self._say(f"  {entry.name}: outputs agree to {distance:.1e}; first call {clock.seconds:.2f} s")
            method = "evaluate" if entry.name == OWN else "predict"
            tasks[entry.name] = partial(_clock, own, method, count)
        return self._timed(firsts, tasks)

    def final_pass(self, problem: Problem) -> dict[str, Timing]:
        """Times the final passes of bnexp, torch.optim.swa_utils.update_bn and fvcore's update_bn_stats."""
        amount = self._amount("final pass", problem.network)
        (bnexp, *_) = entries(problem.network, "training")
        _, trained = self._worker(bnexp).call(bnexp, problem, "state")
        firsts: dict[str, _First] = {}
        tasks: dict[str, Callable[[], Clock]] = {}
        for kind, title in PASSES.items():
            for entry in entries(problem.network, kind):
                own = self._make(entry, problem)
                own("load", trained)
                family = f"{OWN} {kind}" if entry.name == OWN else title
                name = family if entry.name == OWN else f"{title}, {entry.name}"
                _, found = own("final_pass", kind, min(amount, CHECKED))
                distance = check_moments(
                    name,
                    found,
                    exact(problem, trained, kind, min(amount, CHECKED)),
                    tolerance=MOMENTS_TOLERANCE if entry.name == OWN else SUMS_TOLERANCE,
                )
                first, _ = own("final_pass", kind, amount)
                firsts[name] = replace(entry, family=family), amount, first.seconds, distance
                tasks[name] = partial(_clock, own, "final_pass", kind, amount)
                self._say(f"  {name}: within {distance:.1e} of float64")
        return self._timed(firsts, tasks)

    def _timed(self, firsts: Mapping[str, _First], tasks: dict[str, Callable[[], Clock]]) -> dict[str, Timing]:
        """Times everybody in turn, but for settings that one trial shows to be far behind their family's best."""
        families = [entry.family for entry, *_ in firsts.values()]
        trial = {
            name: tasks[name]().seconds / firsts[name][1]
            for name in tasks
            if families.count(firsts[name][0].family) > 1
        }
        for name, seconds in trial.items():
            best = min(other for key, other in trial.items() if firsts[key][0].family == firsts[name][0].family)
            if seconds > HOPELESS * best:
                self._say(f"  {name}: {seconds / best:.0f} times slower than the best of its family, left out")
                del tasks[name]
        measured = interleaved({name: partial(_awake, task) for name, task in tasks.items()}, self._repetitions)
        return {
            name: Timing(entry.family, count, measured[name], first, distance)
            for name, (entry, count, first, distance) in firsts.items()
            if name in tasks
        }

    def _amount(self, work: str, network: str) -> int:
        return max(1, round(SIZES[work, network] * self._scale))

    def _worker(self, entry: Entry) -> Worker:
        if entry.module not in self._workers:
            self._workers[entry.module] = Worker()
        return self._workers[entry.module]

    def _make(self, entry: Entry, problem: Problem) -> Callable[..., tuple[Clock, Any]]:
        worker = self._worker(entry)
        worker.make(entry, problem)
        return partial(worker.call, entry, problem)


def _clock(own: Callable[..., tuple[Clock, Any]], method: str, *arguments: Any) -> Clock:
    return own(method, *arguments)[0]


def _awake(task: Callable[[], Clock]) -> Clock:
    clock = task()
    return task() if clock.seconds < WAKES_FIRST else clock


def _share(amount: int, entry: Entry, *, at_least: int) -> int:
    count = max(round(amount * entry.share), min(at_least, amount))
    block = int(entry.settings.get("block", 1))
    return max(count // block * block, block)
