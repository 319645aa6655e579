"""What the process that leads a sweep does about its launcher and tells its jobs."""

import os
import sys

from omegaconf import DictConfig, OmegaConf, read_write

from bnexp.interrupt import raise_on_signals
from bnexp.threads import VARIABLES, thread_limit

# bytes of Ray's object store, the launcher's own default; a job hands over a few numbers
OBJECT_STORE_MEMORY = 78_643_200


def tell_jobs(config: DictConfig, variable: str, value: object) -> None:
    """Has every job of a sweep find an environment variable, whatever launcher runs it and wherever.

    Args:
        config: the sweep's, as Hydra hands it to a callback when the sweep starts.
        variable: its name.
        value: its text.
    """
    # jobs are composed anew from these overrides, by every launcher and on every machine
    with read_write(config.hydra.overrides):
        config.hydra.overrides.hydra.append(f"++hydra.job.env_set.{variable}={value}")


def share_cores(config: DictConfig) -> None:
    """Has jobs that run side by side on this machine share its cores out, unless the user has said how many threads.

    TensorFlow would start as many threads as there are cores in each of them. Two processes of one thread each train
    half as fast again as two of two threads on two cores, or one after the other.
    """
    jobs = _jobs_side_by_side(config.hydra.launcher)
    if jobs > 1 and thread_limit() is None:
        for variable in VARIABLES:
            tell_jobs(config, variable, max(1, (os.cpu_count() or 1) // jobs))


def _jobs_side_by_side(launcher: DictConfig) -> int:
    """Returns how many jobs a launcher runs on this machine at the same time, as far as its config says so."""
    cores = os.cpu_count() or 1
    if "hydra_joblib_launcher" in launcher._target_:
        jobs: int = launcher.n_jobs
        return jobs if jobs > 0 else cores + 1 + jobs  # -1 is as many as there are cores, -2 one less
    if "hydra_ray_launcher" in launcher._target_:
        ray = launcher.ray
        # a cluster that runs already was told how to share its machines out
        joins = ray.init.get("address") or "RAY_ADDRESS" in os.environ
        return 1 if joins else int((ray.init.get("num_cpus") or cores) // (ray.remote.get("num_cpus") or 1))
    return 1


def start_cluster(launcher: DictConfig) -> None:
    """Starts Ray, or joins its cluster, before Ray's launcher would; without that launcher does nothing.

    Ray takes SIGTERM for itself when it starts, and would end the process in the middle of anything. The launcher goes
    on with a Ray that it finds.
    """
    if "hydra_ray_launcher" in launcher._target_:
        import ray

        settings = OmegaConf.to_container(launcher.ray.init, resolve=True)
        assert isinstance(settings, dict)
        ray.init(**({"object_store_memory": OBJECT_STORE_MEMORY} | {str(key): settings[key] for key in settings}))
        raise_on_signals()


def stop_cluster() -> None:
    """Has Ray end this process's jobs, if any may still be at work: nobody would hear what becomes of them."""
    if "ray" in sys.modules:
        import ray

        ray.shutdown()
