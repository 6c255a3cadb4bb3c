"""SIGTERM, SIGINT and SIGHUP as something that the main loop can wait for.

A signal handler of Python runs in the main thread between two instructions, wherever that is; so
none does anything here: the number is written to a socket (``signal.set_wakeup_fd``), and the
loop reads it when it has finished what it was doing.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dockerfw.wakeup import Wakeup

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def signals(handle: Callable[[int], None]) -> Iterator[tuple[Wakeup, Callable[[], None]]]:
    """Give a wake-up to wait for, and what to call then: it calls ``handle`` with each number.

    The handlers of before are put back in the end.
    """
    wakeup = Wakeup()

    def received() -> None:
        for number in wakeup.clear():
            handle(number)

    # A handler of Python has to be there, or the signal keeps its default effect.
    before = {number: signal.signal(number, lambda *_: None) for number in _NUMBERS}
    old = signal.set_wakeup_fd(wakeup.sender_fileno(), warn_on_full_buffer=False)
    try:
        yield wakeup, received
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        wakeup.close()
