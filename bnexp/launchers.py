"""What the process that leads a sweep does about its launcher, so that a signal ends the sweep in good order."""

import sys

from omegaconf import DictConfig, OmegaConf

from bnexp.interrupt import raise_on_signals

# bytes of Ray's object store, the launcher's own default; a job hands over a few numbers
OBJECT_STORE_MEMORY = 78_643_200


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
