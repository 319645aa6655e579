"""`python -m bnexp [key=value ...]`: one tracked run, or with -m a sweep."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from bnexp.config import CONF_DIR
from bnexp.errors import UserError
from bnexp.quiet import quiet_stderr


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
def main(config: DictConfig) -> float:
    """Runs one job and returns its accuracy at eval_batch_size."""
    # here, so that --help and --cfg job answer without importing TensorFlow
    with quiet_stderr():
        from bnexp.run import run

    hydra_config = HydraConfig.get()
    overrides = list(hydra_config.overrides.task)
    try:
        result = run(config, choices=hydra_config.runtime.choices, overrides=overrides, name=" ".join(overrides))
    except UserError as error:
        print(f"bnexp: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    return result.metrics["test/accuracy"]


if __name__ == "__main__":
    main()
