"""The order in which training reads its examples."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnexp import dataset
from bnexp.dataset import batch_indices
from bnexp.errors import UserError


def plain_order(num_examples: int, positions: int, seed: int) -> np.ndarray:
    """The definition, one epoch after the other."""
    order: list[int] = []
    epoch = 0
    while len(order) < positions:
        order.extend(np.random.default_rng([seed, epoch]).permutation(num_examples))
        epoch += 1
    return np.array(order[:positions])


def test_by_hand():
    batches = batch_indices(5, 3, start=0, stop=4, seed=7)
    first, second = (np.random.default_rng([7, epoch]).permutation(5) for epoch in (0, 1))
    # the second batch takes the last two of epoch 0 and the first of epoch 1
    np.testing.assert_array_equal(batches[1], [first[3], first[4], second[0]])
    assert batches.dtype == np.int32
    assert batches.shape == (4, 3)


@settings(deadline=None, database=None, max_examples=60)
@given(data=st.data())
def test_any_chunks_give_the_defined_order(data):
    examples = data.draw(st.integers(1, 30), "examples")
    batch_size = data.draw(st.integers(1, examples), "batch_size")
    steps = data.draw(st.integers(0, 40), "steps")
    seed = data.draw(st.integers(0, 2**64), "seed")
    cuts = data.draw(st.lists(st.integers(0, steps), max_size=5).map(sorted), "cuts")
    bounds = [0, *cuts, steps]
    chunks = [
        batch_indices(examples, batch_size, start=start, stop=stop, seed=seed) for start, stop in pairwise(bounds)
    ]
    together = np.concatenate(chunks)
    assert together.shape == (steps, batch_size)
    np.testing.assert_array_equal(together.reshape(-1), plain_order(examples, steps * batch_size, seed))


def test_a_later_chunk_needs_no_earlier_one():
    """A resume in the middle starts in a fresh process, with nothing cached."""
    whole = batch_indices(11, 4, start=0, stop=30, seed=1)
    dataset._permutation.cache_clear()
    np.testing.assert_array_equal(batch_indices(11, 4, start=17, stop=30, seed=1), whole[17:])


def test_what_is_returned_is_the_callers_own():
    first = batch_indices(6, 3, start=0, stop=2, seed=0)
    kept = first.copy()
    first[:] = -1
    np.testing.assert_array_equal(batch_indices(6, 3, start=0, stop=2, seed=0), kept)


def test_cheap_for_many_steps_in_chunks():
    """Each epoch is drawn once, however short the chunks; 60 000 rows cost a millisecond."""
    dataset._permutation.cache_clear()
    for start in range(0, 10_000, 50):
        batch_indices(6_000, 4, start=start, stop=start + 50, seed=0)
    # 40 000 positions of 6 000 examples reach into the 7th epoch
    assert dataset._permutation.cache_info().misses == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"batch_size": 64},
            "batch_size=64: must be no more than the 10 training examples of this dataset. Give batch_size=10 or less.",
        ),
        ({"batch_size": 0}, "batch_size=0: must be a whole number, 1 or more. Give another batch_size."),
        ({"batch_size": -4}, "batch_size=-4: must be a whole number, 1 or more. Give another batch_size."),
        ({"batch_size": 2.5}, "batch_size=2.5: must be a whole number, 1 or more. Give another batch_size."),
        ({"batch_size": True}, "batch_size=True: must be a whole number, 1 or more. Give another batch_size."),
        ({"seed": -1}, "seed=-1: must be a whole number, 0 or more. Give another seed."),
    ],
)
def test_mistakes_of_the_user(arguments, message):
    with pytest.raises(UserError) as caught:
        batch_indices(10, **{"batch_size": 2, "start": 0, "stop": 3, "seed": 0, **arguments})
    assert str(caught.value) == message


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (4, 3)])
def test_mistakes_of_the_caller(start, stop):
    with pytest.raises(ValueError, match=f"^steps must satisfy 0 <= start <= stop, got start={start}, stop={stop}$"):
        batch_indices(10, 2, start=start, stop=stop, seed=0)
