"""Ctrl-C and the signals of terminals and schedulers as one exception, which critical blocks can delay."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# sent by a terminal for Ctrl-C and when it closes, and by schedulers some time before SIGKILL
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# a scheduler can be asked to send one of these some time before it ends a job; a launcher may have a handler for it
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)

_held = 0
_waiting: list[int] = []
_last: int = signal.SIGINT


class Interrupted(KeyboardInterrupt):
    """A signal has asked the process to end. It is no Exception, so that no handler takes it for a failure.

    It is a KeyboardInterrupt because libraries that wait in C, such as Ray, lose every other exception that a signal
    handler raises; some of them re-raise it as a plain KeyboardInterrupt.

    Args:
        number: the signal's number, `signal.SIGTERM`.

    Example:
        >>> str(Interrupted(signal.SIGTERM))
        'stopped by SIGTERM'
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)  # exactly the arguments of __init__, with which a worker process unpickles it
        self.number = number

    def __str__(self) -> str:
        """Returns the message, with the signal's name."""
        return f"stopped by {signal.Signals(self.number).name}"


def raise_on_signals(*more: int) -> None:
    """Makes `SIGNALS` raise `Interrupted` from now on, except those that are ignored on purpose, as under nohup.

    Args:
        *more: the numbers of further signals that shall raise it.
    """
    for number in (*SIGNALS, *more):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


@contextmanager
def interruptible() -> Iterator[None]:
    """Makes `SIGNALS` raise `Interrupted` in the block, and restores their handlers after it.

    A scheduler's warning for which a launcher has a handler (submitit's has the job queued again) raises it too. Its
    handler is then called when the block has ended, and may raise another exception.

    Raises:
        Interrupted: a signal arrived in the block.

    Example:
        >>> with interruptible():
        ...     result = run(config, choices=choices)
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
    """Delays signals until the end of the block, so that a run is created, or ended, completely.

    Raises:
        Interrupted: a signal arrived meanwhile; raised after the block.

    Example:
        >>> with uninterrupted():
        ...     journal.update(run_id=store.create(journal.record))
    """
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
    """Returns the number of the last signal that arrived; that of Ctrl-C if none did."""
    return _last


def _handle(number: int, frame: FrameType | None) -> None:
    global _last
    _last = number
    if _held:
        _waiting.append(number)
    else:
        raise Interrupted(number)
