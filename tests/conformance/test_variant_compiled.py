"""What every variant must keep in the compiled engine as well: its own traits."""

import contract
import pytest
from makes import MAKES

from bnexp.config.paths import names_in
from bnexp.graph.layer import variant_factory

# of the makes only these treat images otherwise than rows, but for the axes that they average over
ON_IMAGES = ("control_deps", "update_ops", "fused", "ghost", "layer_norm", "keras")

HELD = [(name, 2) for name in names_in("variant")] + [(name, 4) for name in ON_IMAGES]


def test_they_are_makes():
    assert set(ON_IMAGES) <= set(MAKES)


@pytest.mark.parametrize(("variant", "rank"), HELD)
def test_traits_are_true_in_compiled_loops_too(variant, rank):
    factory = variant_factory(variant, decay=contract.DECAY, epsilon=contract.EPSILON)
    contract.hold(factory, rank=rank, engine="compiled")
