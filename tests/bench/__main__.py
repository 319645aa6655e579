"""`python -m tests.bench`: bnexp beside its peers on the same work, against its targets and the machine's limits."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from .floor import Machine, Work, forward, measure_machine, training_step
from .isolation import in_process
from .parts import compilation, recording_cost, tracking
from .peers import OWN, STEPS_ALONE, Peers, Timing
from .problem import BATCH_SIZE, Data, load_data, make_problem
from .report import Results, about
from .scale import curves
from .targets import EVALUATION, FINAL_PASS, TRAINING, Row, against_peers
from .timing import spread
from .whole_runs import memory, start_up, sweeps

SECTIONS = ("training", "evaluation", "final_pass", "parts", "start_up", "sweeps", "memory")
NETWORKS = ("mlp", "cnn")


def main() -> None:
    arguments = _arguments()
    console = Console(width=None if Console().is_terminal else 160)
    data, source = load_data(arguments.data, **({"examples": 2000, "tests": 300} if arguments.quick else {}))
    machine = measure_machine(size=256, megabytes=8) if arguments.quick else measure_machine()
    date = datetime.now(UTC).isoformat(timespec="minutes")
    results = Results(about(machine, source, arguments.repetitions, date))
    for name, value in results.about.items():
        console.print(f"{name}: {value}", highlight=False)
    for network in arguments.networks:
        _beside_peers(network, data, machine, arguments, results, console)
    _alone(data, arguments, results, console)
    if arguments.scale:
        for curve in curves(shrink=2 if arguments.quick else 1):
            results.curves.append(curve)
            costs = ", ".join(f"{size}: {cost:.3g}" for size, cost in zip(curve.sizes, curve.costs, strict=True))
            console.print(f"{curve.title}, {curve.unit}, by {curve.what}: {costs}; power {curve.exponent:.2f}")
    results.write(arguments.out)
    console.print(f"written: {arguments.out / 'bench.json'}, {arguments.out / 'bench.html'}")


def _beside_peers(
    network: str, data: Data, machine: Machine, arguments: argparse.Namespace, results: Results, console: Console
) -> None:
    """Measures training, evaluation and the final passes of one network, in fresh processes."""
    peers = Peers(
        repetitions=arguments.repetitions,
        scale=0.01 if arguments.quick else 1.0,
        say=lambda line: console.print(line, highlight=False),
    )
    batch = BATCH_SIZE[network]
    try:
        problem = peers.prepare(make_problem(network, data, steps=peers.steps(network)))
        if "training" in arguments.sections:
            work, timings = f"training, {network}, batch {batch}", peers.training(problem)
            rows = against_peers(work, timings, TRAINING[network])
            rows.append(_above_floor(work, timings[STEPS_ALONE], training_step(network, batch), machine))
            results.add(console, rows, work, timings)
        if "evaluation" in arguments.sections:
            work, timings = f"evaluation, {network}, batch_size=1", peers.evaluation(problem)
            rows = against_peers(work, timings, EVALUATION[network])
            rows.append(_above_floor(work, timings[OWN], forward(network, 1), machine))
            results.add(console, rows, work, timings)
        if "final_pass" in arguments.sections:
            timings = peers.final_pass(problem)
            rows = []
            for kind in ("precise_bn", "paper"):
                rows += against_peers(f"{kind}, {network}", timings, FINAL_PASS, own=f"{OWN} {kind}")
                ahead = forward(network, batch)
                example = Work(ahead.flops / batch, ahead.traffic / batch)
                rows.append(_above_floor(f"{kind}, {network}", timings[f"{OWN} {kind}"], example, machine))
            results.add(console, rows, f"final passes, {network}, batch {batch}", timings)
    finally:
        peers.close()


def _alone(data: Data, arguments: argparse.Namespace, results: Results, console: Console) -> None:
    """Measures what has no peer, each part in a process of its own."""
    rows = []
    quick = arguments.quick
    if "parts" in arguments.sections:
        for network in arguments.networks:
            steps = 100 if quick or network == "cnn" else 1000
            problem = make_problem(network, data, steps=steps)
            recording = in_process(recording_cost, problem, steps=steps, repetitions=arguments.repetitions)
            wall, cpu = in_process(compilation, problem, steps=100)
            limit = {"mlp": 3.0, "cnn": 6.0}[network]
            rows += [
                Row(
                    f"recording every step, {network}",
                    "steps that record nothing, processor",
                    spread(recording),
                    1.05,
                    "<=",
                ),
                Row(f"compilation, {network}", "", spread([wall]), limit, "<=", "s"),
                Row(f"compilation, {network}, processor", "", spread([cpu]), None, "<=", "s"),
            ]
        spent = in_process(tracking, steps=100 if quick else 2000)
        rows.append(Row("tracking a run of 2,000 steps", "", spread([sum(spent.values())]), 1.0, "<=", "s"))
    if "start_up" in arguments.sections:
        rows += start_up(arguments.repetitions)
    if "sweeps" in arguments.sections:
        for steps in (50,) if quick else (1000, 20_000):
            rows += sweeps(1 if quick else arguments.repetitions, steps=steps)
    if "memory" in arguments.sections and arguments.data:
        rows += memory(arguments.data, long=1000 if quick else 100_000)
    results.add(console, rows)


def _above_floor(name: str, timing: Timing, work: Work, machine: Machine) -> Row:
    times = [1 / rate / work.seconds(machine) for rate in timing.rates]
    return Row(name, f"the machine's floor, {1 / work.seconds(machine):,.0f} a second", spread(times), None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--data", type=Path, metavar="FILE.npz", help="MNIST; without it drawn images of its shape, and no memory"
    )
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--repetitions", type=int, default=3, help="of everything, taken in turn")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder of bench.json and bench.html")
    parser.add_argument("--scale", action="store_true", help="also how cost grows, a quarter of an hour more")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it work at all?")
    return parser.parse_args()


if __name__ == "__main__":
    main()
