"""Where the configs are; a wheel's are in tests/test_packaging.py."""

from bnexp.config.paths import CONF_DIR, names_in


def test_the_names_of_a_group_are_its_files():
    assert (CONF_DIR / "config.yaml").is_file()
    assert names_in("optimizer") == ["adam", "momentum", "sgd"]
    assert names_in("variant") == sorted(path.stem for path in (CONF_DIR / "variant").iterdir())
    assert names_in("nothing") == []
