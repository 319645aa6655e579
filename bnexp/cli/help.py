"""The text of `python -m bnexp --help`, made from the configs. Imports no Hydra, so that it answers at once."""

import re
from pathlib import Path
from textwrap import fill

from bnexp.config.paths import CONF_DIR

WIDTH = 120

_USAGE = """\
python -m bnexp [GROUP=NAME ...] [KEY=VALUE ...]            one tracked run
python -m bnexp -m GROUP=NAME,NAME KEY=VALUE,VALUE ...      a sweep: every combination, one run each

Groups
{groups}

Keys
{keys}
python -m bnexp variant=ema --cfg job       prints the whole configuration that this would run with, and runs nothing
python -m bnexp variant=ema --help          prints it too, in Hydra's own way
python -m bnexp --help machines             sweeps on several processes, a cluster of Ray or Slurm; a search by Optuna
python -m bnexp --help metrics              what each metric of a run means
python -m bnexp --hydra-help                launchers, sweepers, and everything else that is Hydra's
python -m bnexp.compare --help              puts runs side by side
"""


def manual() -> str:
    """Returns the help: the config groups with their names, and the keys of conf/config.yaml with their comments.

    Example:
        >>> manual().splitlines()[0]
        'python -m bnexp [GROUP=NAME ...] ...'
    """
    text = (CONF_DIR / "config.yaml").read_text(encoding="utf-8")
    defaults, _, rest = text.partition("\n\n")
    keys, _, _ = rest.partition("\nhydra:\n")  # the rest configures Hydra
    chosen = dict(re.findall(r"^  - (\w+): (\w+)", defaults, re.MULTILINE))
    folders = sorted(folder for folder in CONF_DIR.iterdir() if folder.is_dir() and folder.name in chosen)
    groups = [_group(folder, chosen[folder.name]) for folder in folders]
    return _USAGE.format(groups="\n".join(groups), keys="".join(f"  {line}\n" for line in keys.splitlines() if line))


def _group(folder: Path, default: str) -> str:
    others = sorted(path.stem for path in folder.glob("*.yaml") if path.stem != default)
    names = ", ".join(others if default == "null" else [f"{default} (default)", *others])
    return fill(names, WIDTH, initial_indent=f"  {folder.name:<12}", subsequent_indent=" " * 14)
