"""Settings for the launchers of sweeps, and environment variables for their jobs."""

import os
import sys

from omegaconf import DictConfig, OmegaConf, read_write

from bnexp.runtime.signals import raise_on_signals
from bnexp.runtime.threads import VARIABLES, thread_limit

# bytes of Ray's object store, the default of Hydra's Ray launcher; a job returns only a few numbers
OBJECT_STORE_MEMORY = 78_643_200


def tell_jobs(config: DictConfig, variable: str, value: object) -> None:
    """Sets an environment variable in every job of a sweep, whatever launcher runs it and on whatever machine.

    Args:
        config: the sweep's config, as Hydra passes it to a callback when the sweep starts; it is changed.
        variable: the name of the environment variable.
        value: the value, which is set as text.

    Example:
        >>> tell_jobs(config, "BNEXP_SWEEP_JOBS", 35)
    """
    # every launcher, on every machine, composes the jobs' configs from these overrides
    with read_write(config.hydra.overrides):
        config.hydra.overrides.hydra.append(f"++hydra.job.env_set.{variable}={value}")


def share_cores(config: DictConfig) -> None:
    """Divides this machine's cores among jobs that run at the same time, unless the user has set the number of threads.

    TensorFlow would start as many threads as there are cores in each of the jobs. On two cores, two jobs with one
    thread each finish 1.5 times as fast as two with two threads each, or as one job after the other.

    Args:
        config: the sweep's config, as Hydra passes it to a callback when the sweep starts; it is changed.
    """
    jobs = _jobs_side_by_side(config.hydra.launcher)
    if jobs > 1 and thread_limit() is None:
        for variable in VARIABLES:
            tell_jobs(config, variable, max(1, (os.cpu_count() or 1) // jobs))


def _jobs_side_by_side(launcher: DictConfig) -> int:
    """Returns how many jobs a launcher runs on this machine at the same time, by its config; 1 if that does not say."""
    cores = os.cpu_count() or 1
    if "hydra_joblib_launcher" in launcher._target_:
        jobs: int = launcher.n_jobs
        return jobs if jobs > 0 else cores + 1 + jobs  # -1 means as many as cores, -2 one less
    if "hydra_ray_launcher" in launcher._target_:
        ray = launcher.ray
        # the user has decided how a cluster that already runs divides its machines
        joins = ray.init.get("address") or "RAY_ADDRESS" in os.environ
        return 1 if joins else int((ray.init.get("num_cpus") or cores) // (ray.remote.get("num_cpus") or 1))
    return 1


def runs_jobs_here(launcher: DictConfig) -> bool:
    """Tells whether a launcher runs the jobs one after the other in the process that starts the sweep.

    Args:
        launcher: the node `hydra.launcher` of the sweep's config.
    """
    return "basic_launcher" in launcher._target_


def queued_again() -> bool:
    """Tells whether this is a Slurm job that was ended before and has been queued again."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") != "0"


def start_cluster(launcher: DictConfig) -> None:
    """Starts Ray, or joins its cluster, before Ray's launcher does; with another launcher it does nothing.

    When Ray starts it installs a handler for SIGTERM, which would end the process at once; here bnexp's handler is
    installed again after that. The launcher then uses the Ray that already runs.

    Args:
        launcher: the node `hydra.launcher` of the sweep's config.
    """
    if "hydra_ray_launcher" in launcher._target_:
        import ray

        settings = OmegaConf.to_container(launcher.ray.init, resolve=True)
        assert isinstance(settings, dict)
        ray.init(**({"object_store_memory": OBJECT_STORE_MEMORY} | {str(key): settings[key] for key in settings}))
        raise_on_signals()


def stop_cluster() -> None:
    """Ends the jobs that Ray still runs for this process, if it runs any."""
    if "ray" in sys.modules:
        import ray

        ray.shutdown()
