"""Reports on their way from the watcher's thread to the main loop.

Reports of changes that wait together become one: a main loop that is slow gets fewer of them.
"""

from __future__ import annotations

import threading

from dockerfw.docker.reports import Changed, Report
from dockerfw.wakeup import Wakeup


class Outbox:
    """Reports that wait, and a socket that is readable while some do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reports: list[Report] = []
        self._bug: Exception | None = None
        self._wakeup = Wakeup()
        self._closed = False

    def fileno(self) -> int:
        return self._wakeup.fileno()

    def put(self, report: Report) -> None:
        with self._lock:
            last = self._reports[-1] if self._reports else None
            if isinstance(last, Changed) and isinstance(report, Changed):
                self._reports[-1] = last.followed_by(report)
                return
            self._reports.append(report)
            self._wakeup.wake()

    def fail(self, bug: Exception) -> None:
        """Let `take` raise this."""
        with self._lock:
            self._bug = bug
            self._wakeup.wake()

    def take(self) -> list[Report]:
        """Return the reports that wait, oldest first; none after `close`.

        Raises the exception of `fail`, if there is one.
        """
        with self._lock:
            if self._closed:
                return []
            self._wakeup.clear()
            reports, self._reports = self._reports, []
            bug, self._bug = self._bug, None
        if bug is not None:
            raise bug
        return reports

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._wakeup.close()
