"""What somebody who misspelt a name may have meant."""

import pytest

from bnexp.config.nearest import did_you_mean
from bnexp.config.paths import names_in


@pytest.mark.parametrize(
    ("given", "meant"),
    [("em", "ema"), ("update_op", "update_ops"), ("zero_debiased", "zero_debias"), ("layernorm", "layer_norm")],
)
def test_the_likeliest_is_named(given, meant):
    assert did_you_mean(given, names_in("variant")) == f"Did you mean {meant}?"


@pytest.mark.parametrize("given", ["qqq", "", "nope"])
def test_nothing_is_named_where_nothing_is_near(given):
    assert did_you_mean(given, names_in("variant")) == ""
    assert did_you_mean(given, []) == ""
