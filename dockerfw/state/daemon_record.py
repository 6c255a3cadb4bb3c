"""The daemon, as other processes see it: whether one runs, and what it last reported.

Takes and gives `DaemonState`; reads and writes below ``/run/dockerfw`` only::

    daemon.lock  held by the one daemon of this host
    daemon.json  `DaemonState`
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from dockerfw.errors import Failed
from dockerfw.state.folder import Folder
from dockerfw.state.locks import is_locked, try_lock

_LOCK = "daemon.lock"
_STATE = "daemon.json"


@dataclass(frozen=True, slots=True)
class DaemonState:
    """What the daemon last reported.

    ``docker`` is why Docker does not answer, None while it does; ``reconciled_at`` (Unix time) is
    when kernel, policy and Docker were last seen to agree; ``healed`` counts repairs; ``notes`` is
    what somebody should look at.
    """

    docker: str | None = None
    reconciled_at: float | None = None
    healed: int = 0
    notes: tuple[str, ...] = ()


class DaemonRecord:
    """The daemon of this host, if one runs."""

    def __init__(self, run: Folder) -> None:
        self._run = run

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Be the one daemon of this host. Raises `Failed` when there is one."""
        with try_lock(self._run, _LOCK) as ours:
            if not ours:
                raise Failed("a dockerfw daemon is running already: see dockerfw status")
            try:
                yield
            finally:
                self._run.file(_STATE).unlink(missing_ok=True)

    def alive(self) -> bool:
        """Return True if a daemon holds its lock."""
        return is_locked(self._run, _LOCK)

    def write(self, state: DaemonState) -> None:
        """Replace what ``dockerfw status`` shows until the daemon ends. Raises `Failed`."""
        self._run.make()
        self._run.write_json(_STATE, asdict(state))

    def read(self) -> DaemonState | None:
        """Return what the daemon last wrote; None before that, and where none runs."""
        found = self._run.read_json(_STATE)
        try:
            return DaemonState(**{**found, "notes": tuple(found["notes"])}) if found else None
        except (TypeError, KeyError):
            return None
