"""The targets that speak of whole runs and sweeps, measured on the command line that users type."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from .processes import BNEXP, HOLDS_MNIST, Process, python
from .targets import Row
from .timing import Ratio, interleaved, ratio, spread

DECAYS, PASSES = "decay=0.9,0.99,0.999", "final_pass=none,precise_bn,paper"
JOBS = "seed=0,1,2,3,4,5,6,7"


def start_up(repetitions: int) -> list[Row]:
    """`--help` beside `import hydra`, and a default run beside `import tensorflow, mlflow` and its own training."""
    measured = interleaved(
        {
            "help": lambda: python(*BNEXP, "--help"),
            "hydra": lambda: python("-c", "import hydra"),
            "run": lambda: python(*BNEXP),
            "imports": lambda: python("-c", "import tensorflow, mlflow"),
        },
        repetitions,
    )
    rows = []
    for name, of in _MEASURES.items():
        help_, hydra, run, imports = ([of(p) for p in measured[key]] for key in ("help", "hydra", "run", "imports"))
        training = [sum(process.training) for process in measured["run"]]
        least = [i + t for i, t in zip(imports, training, strict=True)]
        timed = name == "wall"
        rows += [
            Row(f"python -m bnexp --help, {name}", "import hydra", ratio(help_, hydra), 1.5 if timed else None, "<="),
            Row(
                f"a default run, {name}",
                "import tensorflow, mlflow + its training",
                ratio(run, least),
                2.0 if timed else None,
                "<=",
            ),
        ]
    return rows


def sweeps(repetitions: int, *, steps: int) -> list[Row]:
    """Three decays times three final passes with and without shared training, and eight jobs on two processes.

    Args:
        repetitions: of each sweep, taken in turn.
        steps: of each job's training. What a process and a job cost beside it weighs the more the fewer they are.
    """
    length = f"{steps:,} steps"
    shared = (*BNEXP, "-m", DECAYS, PASSES, f"steps={steps}")
    jobs = (*BNEXP, "-m", JOBS, f"steps={steps}")
    tasks: dict[str, Callable[[], Process]] = {
        "shared": lambda: python(*shared),
        "each": lambda: python(*shared, "reuse=false"),
        "serial": lambda: python(*jobs),
    }
    joblib = find_spec("hydra_plugins") is not None and find_spec("hydra_plugins.hydra_joblib_launcher") is not None
    if joblib:
        tasks["joblib"] = lambda: python(*jobs, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    measured = interleaved(tasks, repetitions)
    trainings = []
    for together, apart in zip(measured["shared"], measured["each"], strict=True):
        # nine jobs evaluate in either sweep: what sharing saves is training, and the rest of one is what is left of it
        one = sum(apart.training) / len(apart.training)
        saved = (apart.seconds - together.seconds) / one
        trainings.append(len(apart.training) - saved)
    rows = [
        Row(
            f"a sweep of 3 decays x 3 final passes, {length}",
            "trainings' worth of time, with compilation, beside the evaluations",
            spread(trainings),
            1.3,
            "<=",
            "trainings",
        ),
        Row(
            f"the same sweep, {length}, wall",
            "the same with reuse=false",
            ratio([p.seconds for p in measured["each"]], [p.seconds for p in measured["shared"]]),
            None,
        ),
    ]
    if joblib:
        serial, parallel = ([p.seconds for p in measured[key]] for key in ("serial", "joblib"))
        work = f"8 jobs of {length} on 2 joblib processes, rate"
        rows.append(Row(work, "one after another", ratio(serial, parallel), 1.5))
    return rows


def memory(data: Path, *, steps: int = 1000, long: int = 100_000) -> list[Row]:
    """Peaks beside a process that has imported TensorFlow and holds the data, and of a long trajectory."""
    mnist = ("dataset=mnist", f"dataset.path={data.resolve()}")
    holds = python("-c", HOLDS_MNIST, str(data.resolve()))
    peak = python(*BNEXP, *mnist, f"steps={steps}", "batch_size=60").peak
    recorded = python(*BNEXP, f"steps={long}", "batch_size=60").peak
    return [
        Row("memory, peak of a run on MNIST", "TensorFlow and the data alone", _one(peak / holds.peak), 1.5, "<="),
        Row("memory, peak on MNIST", "", _one(peak / 2**30), None, "<=", "GiB"),
        Row(f"memory, peak of {long:,} steps recorded", "", _one(recorded / 2**30), 2.0, "<=", "GiB"),
    ]


def _one(value: float) -> Ratio:
    return Ratio(value, value, value)


_MEASURES: dict[str, Callable[[Process], float]] = {"wall": lambda p: p.seconds, "processor": lambda p: p.cpu}
