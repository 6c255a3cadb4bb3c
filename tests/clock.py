"""A clock that a test moves on; sleeping moves it on as well, at once."""

from __future__ import annotations

from collections.abc import Callable

NOW = 1_800_000_000.0
"""Where it begins, in Unix time: January 2027."""


class FakeClock:
    """Both clocks at once, so that a deadline of the one can be awaited with the other.

    ``set_by``: so many seconds has somebody set the time forward.
    """

    def __init__(self, now: float = NOW) -> None:
        self.now = now
        self.set_by = 0.0
        self.slept: list[float] = []
        self._to_come: list[tuple[float, Callable[[], object]]] = []

    def at(self, moment: float, act: Callable[[], object]) -> None:
        """Do something once, in the sleep that reaches this moment."""
        self._to_come.append((moment, act))

    def time(self) -> float:
        return self.now + self.set_by

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        due = [(moment, act) for moment, act in self._to_come if moment <= self.now]
        self._to_come = [one for one in self._to_come if one not in due]
        for _, act in due:
            act()
