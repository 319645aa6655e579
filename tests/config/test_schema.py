"""What Hydra itself holds every config to, and where conf/config.yaml is the manual."""

import pytest
from hydra.errors import ConfigCompositionException, MissingConfigException
from small import compose, names

from bnexp.config.paths import CONF_DIR
from bnexp.config.schema import GROUPS


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("decay=abc", "Value 'abc' of type 'str' could not be converted to Float"),
        ("steps=1.5", "Value '1.5' of type 'float' could not be converted to Integer"),
        ("steps=null", "field 'steps' is not Optional"),
        ("updates=null", "field 'updates' is not Optional"),
        ("resume=perhaps", "Value 'perhaps' is not a valid bool"),
        ("varient=ema", "Key 'varient' not in 'Config'"),
        ("variant.decy=0.9", "Key 'decy' is not in struct"),
        ("~nothing", "Could not delete from config"),
    ],
)
def test_types_and_keys_are_hydra_s_affair(override, words):
    with pytest.raises(ConfigCompositionException) as caught:
        compose(override)
    assert words in f"{caught.value} {caught.value.__cause__}"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(MissingConfigException) as caught:
        compose("variant=nope")
    for name in names("variant"):
        assert f"\t{name}\n" in str(caught.value)


def test_every_key_is_explained_in_the_file():
    """conf/config.yaml is the manual: a comment for each value that is not a group."""
    lines = (CONF_DIR / "config.yaml").read_text().splitlines()
    for key in compose():
        if key not in (*GROUPS, "learning_rate", "tracking"):
            (line,) = (line for line in lines if line.startswith(f"{key}:"))
            assert "#" in line, line
