"""What every variant must keep: its own traits; found by listing conf/variant, so that a new one joins by itself."""

import contract
import pytest

from bnexp.layer import variant_factory, variant_names


@pytest.mark.parametrize("engine", ["session", "compiled"])
@pytest.mark.parametrize("rank", [2, 4])
@pytest.mark.parametrize("name", variant_names())
def test_traits_are_true(name, rank, engine):
    contract.hold(variant_factory(name, decay=contract.DECAY, epsilon=contract.EPSILON), rank=rank, engine=engine)
