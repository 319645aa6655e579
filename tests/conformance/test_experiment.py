"""What every experiment must keep; found by listing conf/experiment, so that a new one joins by itself."""

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.types import RunMode
from omegaconf import open_dict
from small import names

from bnexp.config.paths import CONF_DIR
from bnexp.config.settings import check_settings, resolve

NAMES = names("experiment")
HEADER = ("question", "command", "expected", "runtime", "outcome")


def header(name):
    """Returns the comment at the top of an experiment's file, by its parts."""
    parts, part = {}, None
    for line in (CONF_DIR / "experiment" / f"{name}.yaml").read_text().splitlines()[1:]:
        if not line.startswith("#"):
            break
        words = line.removeprefix("#").strip()
        key, colon, rest = words.partition(":")
        if colon and key in HEADER:
            part, words = key, rest.strip()
        parts[part] = f"{parts.get(part, '')} {words}".strip()
    return parts


def composed(*overrides):
    with hydra.initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = hydra.compose("config", list(overrides), return_hydra_config=True)
    with open_dict(config):
        return config, config.pop("hydra")


@pytest.mark.parametrize("name", NAMES)
def test_the_header_tells_what_is_asked_and_what_came_out(name):
    found = header(name)
    assert tuple(found) == HEADER
    assert all(found.values())
    assert found["command"].startswith(f"python -m bnexp experiment={name}")
    assert found["question"].partition("(")[0].strip().endswith("?")


@pytest.mark.parametrize("name", NAMES)
def test_every_job_of_the_sweep_is_a_sound_run(name):
    _, settings = composed(f"experiment={name}")
    assert settings.mode is RunMode.MULTIRUN
    swept = dict(settings.sweeper.params)
    assert swept
    parser = OverridesParser.create()
    for key, values in swept.items():
        override = parser.parse_override(f"{key}={values}")
        assert override.is_sweep_override()
        if isinstance(override.value(), Glob):
            continue  # any of a group's own names
        for value in override.sweep_string_iterator():
            config, _ = composed(f"experiment={name}", f"{key}={value}")
            check_settings(resolve(config))


def test_the_questions_of_the_first_release_are_there():
    assert set(NAMES) >= {
        "batch_size_vs_final_pass",
        "decay_vs_steps",
        "every_variant",
        "last_vs_true_averages",
        "paper_mnist",
        "udacity",
    }
