"""A clock that a test moves on; sleeping moves it on as well, at once."""

from __future__ import annotations

NOW = 1_800_000_000.0
"""Where it begins, in Unix time: January 2027."""


class FakeClock:
    """Both clocks at once, so that a deadline of the one can be awaited with the other."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
