"""What is imported once stays, and costs the garbage collector nothing."""

import gc
import weakref

import pytest

from bnexp.cli.startup import kept_imports


class Node:
    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def nothing_frozen():
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.enable()
    gc.collect()


def test_the_collector_is_off_meanwhile_and_keeps_away_from_what_came_of_it():
    with kept_imports():
        assert not gc.isenabled()
        kept = weakref.ref(Node())
    assert gc.isenabled()
    gc.collect()
    assert kept() is not None


def test_an_import_that_fails_leaves_the_collector_on():
    with pytest.raises(ImportError), kept_imports():
        raise ImportError("no such library")
    assert gc.isenabled()


def test_the_next_time_collects_what_came_since():
    with kept_imports():
        pass
    garbage = weakref.ref(Node())
    assert garbage() is not None
    with kept_imports():
        assert gc.isenabled()
        assert garbage() is None


def test_who_runs_without_a_collector_goes_on_without():
    gc.disable()
    with kept_imports():
        pass
    assert not gc.isenabled()
