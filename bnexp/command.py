"""The command line, as Hydra reads it: a job, what is said of one that fails, and how the process ends."""

import os
import sys
import traceback
from math import nan
from typing import TYPE_CHECKING

import hydra
from hydra.conf import RuntimeConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from bnexp.config import CONF_DIR, check
from bnexp.errors import exit_with, explain, first_line
from bnexp.imports import kept_imports
from bnexp.interrupt import Interrupted, interruptible, last_signal, raise_on_signals
from bnexp.quiet import quiet_stderr
from bnexp.sweep import GRID_IS_DONE, HEADLINE, JobFailed, finish_sweep, join_sweep, leads_sweep

if TYPE_CHECKING:
    from bnexp.run import Result


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def job(config: DictConfig) -> float:
    """Runs one job and returns its accuracy at eval_batch_size."""
    hydra_config = HydraConfig.get()
    overrides = list(hydra_config.overrides.task)
    sweep = hydra_config.mode == RunMode.MULTIRUN
    try:
        with interruptible():  # here as well: a launcher may run the job in a process that never saw run_command()
            result = _run(config, hydra_config.runtime, overrides, sweep=sweep)
    except Interrupted as interrupt:
        if not sweep or leads_sweep():
            raise
        # this process alone is to end, as by scancel, and the sweep's lead waits to hear of it
        raise JobFailed(f"{interrupt}. It is KILLED and keeps what it measured.") from None
    except Exception as error:
        message = explain(error)
        if message is None:
            traceback.print_exc()
            message = f"{type(error).__name__}: {first_line(error)}. This is a bug in bnexp."
        if not sweep:
            exit_with(message)
        said = " ".join(override for override in overrides if not override.startswith("tracking."))
        print(f"bnexp: #{hydra_config.job.num} {said}: {message}", file=sys.stderr)
        # Hydra goes on with the next job, and raises this in the process that leads the sweep
        raise JobFailed(message) from None
    return result.metrics.get(HEADLINE, nan)


def _run(config: DictConfig, runtime: RuntimeConf, overrides: list[str], *, sweep: bool) -> "Result":
    if sweep:
        join_sweep(runtime.cwd, config.tracking.uri)
    else:
        check(config)  # here as well, so that most mistakes are told at once; a sweep's are tracked
    if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
        config.resume = True  # Slurm ended the same job before, and queued it again
    # here, so that --cfg job answers without importing TensorFlow
    with kept_imports(), quiet_stderr():
        from bnexp.run import run
    return run(config, choices=runtime.choices, overrides=overrides, sweep=sweep)


def run_command() -> None:
    """Runs the command line; ends with status 0 only if every run finished."""
    raise_on_signals()
    # Hydra prints tracebacks of its own, and for some of them no other way to keep it from that
    wants_traceback = os.environ.setdefault("HYDRA_FULL_ERROR", "0") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        job()
        lost = finish_sweep()
    except KeyboardInterrupt as error:
        interrupt = error if isinstance(error, Interrupted) else Interrupted(last_signal())
        finish_sweep(interrupt)
        exit_with(f"{interrupt}. A run that had started is KILLED and keeps what it measured.", 128 + interrupt.number)
    except Exception as error:
        lost = finish_sweep(error)
        if wants_traceback:
            raise
        if not (lost and (isinstance(error, JobFailed) or GRID_IS_DONE in str(error))):
            # what is wrong with the command line itself, in Hydra's words, or what ended the launcher
            reasons = [error, error.__cause__] if isinstance(error.__cause__, OmegaConfBaseException) else [error]
            exit_with("\n".join(map(str, reasons)))
    if lost:
        exit_with(f"{len(lost)} of the sweep's jobs did not finish: {', '.join(lost)}")
