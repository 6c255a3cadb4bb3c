"""``dockerfw daemon`` on a lab host: start it, read its log, send it signals."""

from __future__ import annotations

import signal
import sys

from tests.lab.guard import LabError
from tests.lab.host import Host
from tests.lab.wait import Closable, becomes_true, until

_LOG = "/run/lab/dockerfw.log"
_PID = "/run/lab/dockerfw.pid"
_START = f'echo $$ >{_PID}; exec "$@" 2>>{_LOG}'
_PATIENCE = 30.0


class Daemon(Closable):
    """A running daemon; it is ready when the ``with`` block begins, unless ``wait`` is False.

    Ends with the block or with the host. The log is kept over restarts.
    """

    def __init__(self, host: Host, *options: str, wait: bool = True) -> None:
        self.host = host
        self.options = options
        self.wait = wait
        self.start()

    def close(self) -> None:
        if self.alive:
            self.send(signal.SIGKILL)

    def start(self) -> None:
        """Start it (again), and wait until it says that it is ready."""
        self.host.write(_PID, "")
        before = self.log().count("ready, ")
        self._process = self.host.start(["sh", "-c", _START, "sh", *self.argv()])
        if self.wait:
            self.until_said("ready, ", before + 1)

    def argv(self) -> list[str]:
        """The command."""
        return [sys.executable, "-m", "dockerfw", "daemon", *self.options]

    @property
    def pid(self) -> int:
        """Its process id in the host's own process namespace."""
        until(lambda: bool(self.host.read(_PID).strip()), "the daemon's process id", 5)
        return int(self.host.read(_PID))

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self.host.run(["kill", f"-{number.value}", str(self.pid)])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        self.send(number)
        return self._process.wait(_PATIENCE)

    def log(self) -> str:
        """All that it has said so far."""
        path = self.host.path(_LOG)
        return path.read_text() if path.exists() else ""

    def until_said(self, text: str, times: int = 1, patience: float = _PATIENCE) -> None:
        """Wait until its log holds a text so often; fails with the log."""
        if not becomes_true(lambda: self.log().count(text) >= times, patience):
            msg = f"the daemon did not say {text!r} ({times} times):\n{self.log()}"
            raise LabError(msg)
