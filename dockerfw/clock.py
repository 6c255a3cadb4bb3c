"""The clocks, as something that is passed in: what asks for the time can be tested at any time.

`SystemClock` is made by entry points (the commands, the daemon) and reads the host's clocks;
everything else takes a `Clock`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks and a way to wait."""

    def time(self) -> float:
        """Unix time in seconds: for moments that are written down. It may be set back."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment: for deadlines and pauses. It never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


class SystemClock:
    """The clocks of this host."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
