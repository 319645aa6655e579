"""The command line of `python -m bnexp`: runs jobs through Hydra, prints errors, and sets the exit status."""

import os
import sys
import traceback
from math import nan
from time import perf_counter
from typing import TYPE_CHECKING

import hydra
from hydra.conf import RuntimeConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from bnexp.cli.overrides import check_overrides
from bnexp.cli.startup import kept_imports, quiet_stderr
from bnexp.config.paths import CONF_DIR
from bnexp.config.renamed import renamed_arguments
from bnexp.config.settings import check_settings, resolve
from bnexp.errors import UserError, exit_with, explain, first_line, say
from bnexp.names import HEADLINE, telling_overrides
from bnexp.runtime.signals import Interrupted, interruptible, last_signal, raise_on_signals
from bnexp.sweep.launchers import queued_again
from bnexp.sweep.parent import GRID_IS_DONE, JobFailed, finish_sweep, job_ended, join_sweep, leads_sweep
from bnexp.sweep.progress import place, print_job

if TYPE_CHECKING:
    from bnexp.run import Result


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def job(config: DictConfig) -> float:
    """Runs one job, a single run or one of a sweep; called by Hydra.

    Args:
        config: the config of the job, which Hydra composes from the command line.

    Returns:
        The test accuracy at eval_batch_size, which a search maximises.

    Raises:
        JobFailed: the job belongs to a sweep and has failed; its message has been printed.
    """
    hydra_config = HydraConfig.get()
    overrides = list(hydra_config.overrides.task)
    sweep = hydra_config.mode == RunMode.MULTIRUN
    started = perf_counter()
    try:
        with interruptible():  # here too, since a launcher may run the job in a process without run_command()
            result = _run(config, hydra_config.runtime, overrides, sweep=sweep)
    except Interrupted as interrupt:
        if not sweep or leads_sweep():
            raise
        # only this process is asked to end, as by scancel; the process that leads the sweep waits for its result
        raise JobFailed(f"{interrupt}. It is KILLED and keeps what it measured.") from None
    except Exception as error:
        message = explain(error)
        if message is None:
            traceback.print_exc()
            message = f"{type(error).__name__}: {first_line(error)}. This is a bug in bnexp."
        if not sweep:
            exit_with(message)
        say(f"{place(hydra_config.job.num)} {' '.join(telling_overrides(overrides))}: {message}")
        # Hydra goes on with the next job, and raises this later in the process that leads the sweep
        raise JobFailed(message) from None
    finally:
        job_ended()
    if sweep and not config.verbose:
        seconds = perf_counter() - started
        print_job(hydra_config.job.num, overrides, result.metrics, result.verdict, seconds=seconds, note=result.note)
    return result.metrics.get(HEADLINE, nan)


def _run(config: DictConfig, runtime: RuntimeConf, overrides: list[str], *, sweep: bool) -> "Result":
    if sweep:
        join_sweep(runtime.cwd, config.tracking.uri)
    else:
        check_settings(resolve(config, overrides))  # here too, before slow imports; in a sweep, mistakes are tracked
    if queued_again():
        config.resume = True
    # imported here, so that --cfg job answers without TensorFlow
    with kept_imports(), quiet_stderr():
        from bnexp.run import run
    return run(config, choices=runtime.choices, overrides=overrides, sweep=sweep)


def _is_path(line: str) -> bool:
    """Tells whether a line of an OmegaConf error only locates the error in OmegaConf's tree of nodes."""
    return line.strip().startswith(("full_key:", "object_type=", "reference_type="))


def run_command() -> None:
    """Runs the command line; the exit status is 0 only if every run finished."""
    raise_on_signals()
    sys.argv[1:] = renamed_arguments(sys.argv[1:])
    try:
        check_overrides(sys.argv[1:])
    except UserError as error:
        exit_with(error)
    # otherwise Hydra prints tracebacks itself, and some of them can be prevented only in this way
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
            # Hydra's message about a mistake in the command line, or the error that ended the launcher
            reasons = [error, error.__cause__] if isinstance(error.__cause__, OmegaConfBaseException) else [error]
            exit_with("\n".join(line for reason in reasons for line in str(reason).splitlines() if not _is_path(line)))
    if lost:
        exit_with(f"{len(lost)} of the sweep's jobs did not finish: {', '.join(lost)}")
