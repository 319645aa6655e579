"""Ghost batches are cut as the slices say that people write."""

import numpy as np
import pytest

from bnexp.diagnosis.ghosts import CUTS, Cut

BATCH = np.random.default_rng(8).normal(size=[8, 2, 3])

EIGHT = np.arange(8)

# of a batch of eight: the cut, and its ghost batches by hand
BY_HAND = [
    (Cut(parts=2), [EIGHT[0::2], EIGHT[1::2]]),
    (Cut(parts=4), [EIGHT[0::4], EIGHT[1::4], EIGHT[2::4], EIGHT[3::4]]),
    (Cut(parts=8), [[0], [1], [2], [3], [4], [5], [6], [7]]),
    (Cut(size=2), [EIGHT[0::4], EIGHT[1::4], EIGHT[2::4], EIGHT[3::4]]),
    (Cut(size=4), [EIGHT[0::2], EIGHT[1::2]]),
    (Cut(parts=2, contiguous=True), [EIGHT[:4], EIGHT[4:]]),
    (Cut(parts=4, contiguous=True), [EIGHT[:2], EIGHT[2:4], EIGHT[4:6], EIGHT[6:]]),
    (Cut(parts=8, contiguous=True), [[0], [1], [2], [3], [4], [5], [6], [7]]),
    (Cut(size=2, contiguous=True), [EIGHT[:2], EIGHT[2:4], EIGHT[4:6], EIGHT[6:]]),
    (Cut(size=4, contiguous=True), [EIGHT[:4], EIGHT[4:]]),
]


def listed(parts):
    return [list(part) for part in parts]


def test_every_cut_is_here_but_those_that_are_too_large_to_cut_it():
    larger = [cut for cut in CUTS if cut.size >= 8]
    assert {cut for cut, _ in BY_HAND} | set(larger) == set(CUTS)
    assert all(listed(cut.rows(8)) == [list(EIGHT)] for cut in larger)
    assert len(Cut(size=32).rows(128)) == 4


@pytest.mark.parametrize(("cut", "expected"), BY_HAND)
def test_the_rows_of_each_ghost_batch(cut, expected):
    assert listed(cut.rows(8)) == listed(expected)


@pytest.mark.parametrize(("cut", "expected"), BY_HAND)
def test_the_moments_of_each_ghost_batch(cut, expected):
    found = cut.moments(BATCH, lambda part: part.var((0, 1)))
    by_hand = [np.square(BATCH[rows] - BATCH[rows].mean((0, 1))).mean((0, 1)) for rows in listed(expected)]
    np.testing.assert_allclose(found, by_hand, rtol=1e-12, atol=1e-15)
    assert found.shape == (len(expected), 3)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("examples", [1, 2, 3, 5, 12])
def test_every_example_is_in_one_ghost_batch_and_none_is_empty(cut, examples):
    parts = cut.rows(examples)
    assert sorted(np.concatenate(parts)) == list(range(examples))
    assert all(len(part) for part in parts)


def test_what_does_not_divide_goes_to_the_first_ones():
    assert listed(Cut(parts=4).rows(6)) == [[0, 4], [1, 5], [2], [3]]
    assert listed(Cut(parts=4, contiguous=True).rows(6)) == [[0, 1], [2, 3], [4], [5]]
    assert listed(Cut(size=4).rows(6)) == [[0, 1, 2, 3, 4, 5]]
