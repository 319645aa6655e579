"""Where the configs are, and what `python -m bnexp --help` prints of them. Imports no Hydra: it answers at once."""

import re
from pathlib import Path
from textwrap import fill

_HERE = Path(__file__).resolve().parent
# a wheel carries the configs inside the package; a checkout has them beside it
CONF_DIR = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parent / "conf"

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
python -m bnexp --hydra-help                launchers, sweepers, and everything else that is Hydra's
python -m bnexp.compare --help              puts runs side by side
"""


def manual() -> str:
    """Returns the groups with their names, and the keys of conf/config.yaml with their values and comments."""
    text = (CONF_DIR / "config.yaml").read_text(encoding="utf-8")
    defaults, _, rest = text.partition("\n\n")
    keys, _, _ = rest.partition("\nhydra:\n")  # what follows is how bnexp sets Hydra up
    chosen = dict(re.findall(r"^  - (\w+): (\w+)", defaults, re.MULTILINE))
    folders = sorted(folder for folder in CONF_DIR.iterdir() if folder.is_dir() and folder.name in chosen)
    groups = [_group(folder, chosen[folder.name]) for folder in folders]
    return _USAGE.format(groups="\n".join(groups), keys="".join(f"  {line}\n" for line in keys.splitlines() if line))


def _group(folder: Path, default: str) -> str:
    others = sorted(path.stem for path in folder.glob("*.yaml") if path.stem != default)
    names = ", ".join(others if default == "null" else [f"{default} (unless you say)", *others])
    return fill(names, WIDTH, initial_indent=f"  {folder.name:<12}", subsequent_indent=" " * 14)
