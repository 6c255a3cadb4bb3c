"""What a command is at, in one line at the terminal, once that takes a second.

Takes what is begun and ended; the line is drawn anew every second and wiped before anything else is
printed. Never writes to stdout, and where stderr is no terminal it writes nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from dockerfw.cli.screen import width
from dockerfw.operations.session import Phase, at_once

_WIPED = "\r\x1b[K"


class Progress:
    """The phases that a command is in, the innermost last.

    ``draw`` puts a text in the place of the one before; ``now`` is in seconds and never goes back;
    ``alarm`` is called with True when `tick` is wanted every second, with False when no more.
    """

    def __init__(
        self, draw: Callable[[str], None], now: Callable[[], float], alarm: Callable[[bool], None]
    ) -> None:
        self._draw = draw
        self._now = now
        self._alarm = alarm
        self._phases: list[tuple[str, float]] = []
        self._drawn = False

    @contextmanager
    def phase(self, what: str) -> Iterator[None]:
        """What is done inside is ``what``: "asking Docker"."""
        self._phases.append((what, self._now()))
        if len(self._phases) == 1:
            self._alarm(True)
        try:
            yield
        finally:
            if len(self._phases) == 1:
                self._alarm(False)
            self._phases.pop()
            self.wipe()

    def tick(self) -> None:
        """Show what has taken a second by now."""
        if not self._phases:
            return
        what, since = self._phases[-1]
        seconds = int(self._now() - since)
        if seconds:
            self._draw(f"{what} ({seconds} s)")
            self._drawn = True

    def wipe(self) -> None:
        """Make room for what is to be printed."""
        if self._drawn:
            self._draw("")
            self._drawn = False


Notify: TypeAlias = Callable[[str], None]


def shown(now: Callable[[], float], notify: Notify) -> tuple[Phase, Notify]:
    """Return what shows phases on this terminal, and ``notify`` with room made for it first."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return at_once, notify
    progress = Progress(_draw, now, _every_second)
    # A signal, and no thread: nothing is drawn while anything else is printed.
    signal.signal(signal.SIGALRM, lambda *_: progress.tick())

    def notify_below(text: str) -> None:
        progress.wipe()
        notify(text)

    return progress.phase, notify_below


def _draw(text: str) -> None:
    line = _WIPED + text[: width(sys.stderr) - 1]
    os.write(sys.stderr.fileno(), line.encode())


def _every_second(wanted: bool) -> None:
    signal.setitimer(signal.ITIMER_REAL, float(wanted), float(wanted))
