"""What the daemon has to do later, by name. Knows no clock: times are the caller's."""

from __future__ import annotations

LONGEST_WAIT = 3600.0
"""Seconds. No selector waits for years, and a rule may end in years."""


class Timers:
    """Each name is due once; asked for again, the earlier moment wins."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def by(self, name: str, moment: float) -> None:
        """``name`` is to be done at that moment, or before it if that was asked for already."""
        self._due[name] = min(moment, self._due.get(name, moment))

    def at(self, name: str, moment: float | None) -> None:
        """``name`` is to be done at that moment and no other; None: not at all."""
        self._due.pop(name, None)
        if moment is not None:
            self._due[name] = moment

    def take(self, now: float) -> set[str]:
        """The names that are due; they are forgotten."""
        due = {name for name, moment in self._due.items() if moment <= now}
        for name in due:
            del self._due[name]
        return due

    def wait(self, now: float) -> float | None:
        """Seconds until there may be something to do; None: nothing is to come."""
        if not self._due:
            return None
        return min(max(0.0, min(self._due.values()) - now), LONGEST_WAIT)
