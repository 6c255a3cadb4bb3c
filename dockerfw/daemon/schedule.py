"""When the main loop has to do what: timers that are set by events, as `SCHEDULED` has it.

Takes a clock and events; gives tasks that are due. It does none of them.
"""

from __future__ import annotations

from dockerfw.clock import Clock
from dockerfw.daemon.timers import Task, Timers
from dockerfw.daemon.transitions import SCHEDULED, Event


class Schedule:
    """What is to come. Used by the main loop alone, and by what it calls."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers = Timers()

    def happened(self, event: Event, moment: float | None = None, task: Task | None = None) -> None:
        """Set the timers of this event.

        ``moment`` (monotonic) is for rows of the table without seconds; None cancels there.
        ``task`` is for the row of the table without one.
        """
        now = self._clock.monotonic()
        for due in SCHEDULED[event]:
            when = moment if due.after is None else now + due.after
            which = due.task or task
            if which is None:
                raise ValueError(f"{event.name} needs a task")
            if due.exact:
                self._timers.at(which, when)
            elif when is not None:
                self._timers.by(which, when)

    def take(self) -> set[Task]:
        """Return the tasks that are due, and forget them."""
        return self._timers.take(self._clock.monotonic())

    def pending(self) -> dict[Task, float]:
        """Return the moment (monotonic) of each task that is to come."""
        return self._timers.pending()

    def wait(self) -> float | None:
        """Return the seconds until something may be due; None: nothing is to come."""
        return self._timers.wait(self._clock.monotonic())
