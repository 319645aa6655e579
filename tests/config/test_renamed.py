"""Old names go on working."""

import pytest

from bnexp.config.paths import names_in
from bnexp.config.renamed import VARIANTS, renamed_arguments, renamed_target, renamed_variant


def test_every_old_name_is_gone_and_every_present_name_is_there():
    known = names_in("variant")
    for old, new in VARIANTS.items():
        assert old not in known
        assert new in known
        assert renamed_variant(old) == new


@pytest.mark.parametrize("name", ["ema", "layer_norm", "", "sample_wise_", "my.module.sample_wise"])
def test_other_names_stay(name):
    assert renamed_variant(name) == name


@pytest.mark.parametrize(
    ("target", "renamed"),
    [
        ("bnexp.variant.sample_wise.BatchNorm", "bnexp.variant.layer_norm.BatchNorm"),
        ("bnexp.variant.layer_norm.BatchNorm", "bnexp.variant.layer_norm.BatchNorm"),
        ("bnexp.variant.ema.sample_wise", "bnexp.variant.ema.sample_wise"),
        ("mine.bnexp.variant.sample_wise.BatchNorm", "mine.bnexp.variant.sample_wise.BatchNorm"),
        ("sample_wise.BatchNorm", "sample_wise.BatchNorm"),
    ],
)
def test_a_target_of_an_older_config(target, renamed):
    assert renamed_target(target) == renamed


@pytest.mark.parametrize(
    ("given", "renamed"),
    [
        ("variant=sample_wise", "variant=layer_norm"),
        ("variant=ema,sample_wise,keras", "variant=ema,layer_norm,keras"),
        ("variant=choice('sample_wise', ema)", "variant=choice('layer_norm', ema)"),
        ("variant=glob(sample_wise*)", "variant=glob(layer_norm*)"),
        ("variant=sample_wise2", "variant=sample_wise2"),
        ("variant.decay=0.9", "variant.decay=0.9"),
        ("dataset.path=sample_wise", "dataset.path=sample_wise"),
        ("--cfg", "--cfg"),
    ],
)
def test_a_command_line(given, renamed):
    assert renamed_arguments(["-m", given]) == ["-m", renamed]
