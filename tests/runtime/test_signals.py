"""Signals become one exception, and wait where something must be done whole."""

import os
import pickle
import signal
import subprocess
import sys

import pytest

from bnexp.runtime import signals
from bnexp.runtime.signals import SIGNALS, WARNINGS, Interrupted, interruptible, raise_on_signals, uninterrupted


@pytest.fixture
def handlers():
    """The signals as this process had them, put back afterwards; pytest needs its own Ctrl-C."""
    kept = {number: signal.getsignal(number) for number in (*SIGNALS, *WARNINGS)}
    for number in kept:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
    signals._waiting.clear()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_raises(handlers, number):
    raise_on_signals()
    with pytest.raises(Interrupted) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.number == number
    assert str(caught.value) == f"stopped by {signal.Signals(number).name}"


def test_it_is_no_exception_that_a_handler_of_failures_takes():
    assert not issubclass(Interrupted, Exception)


def test_what_the_caller_ignores_stays_ignored(handlers):
    """As under nohup, and in a shell script's background."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_on_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_worker_process_hands_it_on():
    handed = pickle.loads(pickle.dumps(Interrupted(signal.SIGTERM)))
    assert (handed.number, str(handed)) == (signal.SIGTERM, "stopped by SIGTERM")


def test_only_the_block_is_interruptible(handlers):
    """What a launcher does on a signal between two jobs is its own affair."""

    def own(*_):
        pass

    signal.signal(signal.SIGTERM, own)
    with pytest.raises(Interrupted), interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is own


def test_a_launcher_gets_its_scheduler_s_warning_once_the_block_has_ended(handlers):
    """As submitit, whose handler has the job queued again: by then the run must have ended."""
    done = []

    def own(number, frame):
        done.append(number)
        raise RuntimeError("queued again")

    def ends():
        with interruptible():
            try:
                os.kill(os.getpid(), signal.SIGUSR2)
            except Interrupted as interrupt:
                done.append(str(interrupt))
                raise

    signal.signal(signal.SIGUSR2, own)
    with pytest.raises(RuntimeError, match="queued again"):
        ends()
    assert done == ["stopped by SIGUSR2", signal.SIGUSR2]
    assert signal.getsignal(signal.SIGUSR2) is own
    # a launcher that only takes note of it
    signal.signal(signal.SIGUSR2, lambda *_: done.append("noted"))
    with pytest.raises(Interrupted):
        ends()
    assert done[2:] == ["stopped by SIGUSR2", "noted"]


def test_a_warning_that_no_launcher_waits_for_stays_as_it_is(handlers):
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with interruptible():
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGUSR1)


def test_it_waits_for_the_end_of_the_block(handlers):
    raise_on_signals()
    done = []

    def interrupted_twice():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("after the first")
            with uninterrupted():
                os.kill(os.getpid(), signal.SIGINT)
            done.append("after the inner block")

    with pytest.raises(Interrupted) as caught:
        interrupted_twice()
    assert done == ["after the first", "after the inner block"]
    assert caught.value.number == signal.SIGTERM
    # nothing is left over for the next block
    with uninterrupted():
        pass


def test_an_error_in_the_block_is_not_lost(handlers):
    raise_on_signals()

    def fails_interrupted():
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            raise ValueError("inside")

    with pytest.raises(Interrupted) as caught:
        fails_interrupted()
    assert str(caught.value.__context__) == "inside"
    with pytest.raises(ValueError, match="alone"), uninterrupted():
        raise ValueError("alone")


def test_importing_changes_no_handler():
    program = "import signal, bnexp.runtime.signals; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
