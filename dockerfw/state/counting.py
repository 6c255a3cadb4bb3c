"""Since when the kernel counts packets: of the counters of sets it does not tell when they began.

Takes and gives Unix time; reads and writes below ``/run/dockerfw`` only, which ends as they do::

    counters.json  when counters were made where none stood
"""

from __future__ import annotations

from dockerfw.state.folder import Folder

_COUNTERS = "counters.json"


class Counting:
    """The beginning of the counters that stand."""

    def __init__(self, run: Folder) -> None:
        self._run = run

    def since(self) -> float | None:
        """Return when they began; None where that was not kept."""
        found = self._run.read_json(_COUNTERS).get("since")
        return float(found) if isinstance(found, int | float) else None

    def begin(self, now: float) -> None:
        """Keep that they begin now. Raises `Failed`."""
        self._run.make()
        self._run.write_json(_COUNTERS, {"since": now})
