"""Which variants are incomplete: a file without its YAML, a YAML without its file, a YAML that points elsewhere."""

from pathlib import Path

from omegaconf import OmegaConf


def problems(code: Path, configs: Path) -> list[str]:
    """Compares the files of two folders, bnexp/variant and conf/variant, and says what is missing where."""
    modules = {path.stem for path in code.glob("*.py")} - {"__init__"}
    yamls = {path.stem for path in configs.glob("*.yaml")}
    found = [f"{name}.py has no {name}.yaml" for name in sorted(modules - yamls)]
    found += [f"{name}.yaml has no {name}.py" for name in sorted(yamls - modules)]
    for name in sorted(modules & yamls):
        node = OmegaConf.to_container(OmegaConf.load(configs / f"{name}.yaml"), resolve=False)
        expected = {
            "_target_": f"bnexp.variant.{name}.BatchNorm",
            "_partial_": True,
            "decay": "${decay}",
            "epsilon": "${epsilon}",
        }
        found += [
            f"{name}.yaml: {key} is {node.get(key)}, not {value}"
            for key, value in expected.items()
            if node.get(key) != value
        ]
    return found
