"""Ctrl-C and polite killing as one exception, and moments at which it must wait."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# what a terminal sends for Ctrl-C and when it closes, and what schedulers send before they kill
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# what a scheduler is asked to send some time before it ends a job; a launcher has a handler for one of them, or nobody
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)

_held = 0
_waiting: list[int] = []
_last: int = signal.SIGINT


class Interrupted(KeyboardInterrupt):
    """A signal asks the process to end; no Exception, so that nothing takes it for a failure.

    Libraries that wait in C, as Ray, let a KeyboardInterrupt through and lose any other; some make a plain one of it.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)  # as it is, since a worker process pickles it
        self.number = number

    def __str__(self) -> str:
        """Names the signal."""
        return f"stopped by {signal.Signals(self.number).name}"


def raise_on_signals(*more: int) -> None:
    """Has the signals, and `more`, raise `Interrupted` from here on; not one ignored on purpose, as under nohup."""
    for number in (*SIGNALS, *more):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


@contextmanager
def interruptible() -> Iterator[None]:
    """Has the signals raise `Interrupted` in the block, and then do again what they did before.

    So does a scheduler's warning that a launcher has a handler for, as submitit's, which has the job queued again. That
    handler gets the signal when the block has ended, and may raise something else.
    """
    warnings = [number for number in WARNINGS if callable(signal.getsignal(number))]
    before = {number: signal.getsignal(number) for number in (*SIGNALS, *warnings)}
    try:
        try:
            raise_on_signals(*warnings)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    except Interrupted as interrupt:
        if interrupt.number in warnings:
            signal.raise_signal(interrupt.number)
        raise


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Holds signals back until the block is done: a run is created, or ended, as a whole."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if _waiting and not _held:
            number = _waiting[0]
            _waiting.clear()
            raise Interrupted(number)


def last_signal() -> int:
    """Returns the number of the signal that came last; where none did, that of Ctrl-C."""
    return _last


def _handle(number: int, frame: FrameType | None) -> None:
    global _last
    _last = number
    if _held:
        _waiting.append(number)
    else:
        raise Interrupted(number)
