"""What `--help` prints: all there is to choose, in the words of the config's own file, without waiting for Hydra."""

import re
import subprocess
import sys

import pytest
from small import client, compose, run_here

from bnexp.cli.help import WIDTH, manual
from bnexp.cli.metrics import METRICS
from bnexp.config.paths import CONF_DIR
from bnexp.config.schema import GROUPS

TEXT = manual()


@pytest.mark.parametrize("group", [*GROUPS, "experiment"])
def test_every_name_of_every_group_is_listed(group):
    _, _, below = TEXT.partition(f"\n  {group:<12}")
    names = below.replace("\n" + " " * 14, " ").splitlines()[0]
    listed = {name.removesuffix(" (default)") for name in names.split(", ")}
    assert listed == {path.stem for path in (CONF_DIR / group).glob("*.yaml")}


def test_the_defaults_are_marked():
    marked = {line.split()[0]: line.split()[1] for line in TEXT.splitlines() if "(default)" in line}
    assert sorted(marked) == sorted(GROUPS)
    config = compose(*(f"{group}={name}" for group, name in marked.items()))
    assert config == compose()


def test_every_key_stands_there_with_its_value_and_its_comment():
    lines = (CONF_DIR / "config.yaml").read_text().splitlines()
    for key in compose():
        if key not in (*GROUPS, "learning_rate"):
            (line,) = (line for line in lines if line.startswith(f"{key}:"))
            assert f"\n  {line}\n" in TEXT
    assert "  # learning_rate:" in TEXT
    assert "callbacks" not in TEXT  # how bnexp sets Hydra up is nobody's to choose


def test_it_fits_a_wide_terminal():
    assert max(map(len, TEXT.splitlines())) <= WIDTH


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_answer_needs_no_hydra(flag, tmp_path):
    program = (
        "import sys; from bnexp.__main__ import main; main(); print({'hydra', 'omegaconf', 'numpy'} & set(sys.modules))"
    )
    line = [sys.executable, "-c", program, flag]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{TEXT}\nset()\n"


def test_every_metric_of_a_run_is_explained(folder):
    """With layers and percentiles left open, as the text has them."""
    result = run_here(folder, "steps=3", "network.widths=[4]", "batch_size=10")
    history = {metric for metric in client(folder).get_run(result.run_id).data.metrics}
    assert history >= result.metrics.keys()
    for name in history:
        general = re.sub(r"/bn1/", "/<layer>/", name)
        shown = re.sub(r"/p\d+$", "/p15", general)
        assert shown in METRICS, name
