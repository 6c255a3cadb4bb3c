"""What the daemon reports to systemd: that it is ready, alive and how it is doing; and lines for
the journal with fields of their own.

Takes the environment that systemd made, writes datagrams to systemd's two sockets. Outside
systemd there is nothing to do, and a socket that is lost costs the message, never the daemon:
nothing in here raises or waits longer than `PATIENCE`. Protocols: sd_notify(3) and
https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from dockerfw.text import printable

PATIENCE = 0.5
"""Seconds that a full socket may hold us up."""
JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
LONGEST_STATUS = 1000
"""Characters. systemd passes over a datagram of more than 4,096 bytes altogether."""
LONGEST_VALUE = 8192
"""Bytes of one field. Larger entries would need a memfd, and no line of ours is worth one."""


class Systemd:
    """sd_notify(3), with the environment that the unit gave.

    Every method returns True if systemd took the message.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def ready(self) -> bool:
        """Report that the start is over: kernel, policy and Docker agree."""
        return self._notify("READY=1")

    def status(self, text: str) -> bool:
        """Set the line that ``systemctl status`` shows."""
        return self._notify(f"STATUS={printable(text)[:LONGEST_STATUS]}")

    def stopping(self) -> bool:
        return self._notify("STOPPING=1")

    def watchdog(self) -> bool:
        """Report that the main loop turns."""
        return self._notify("WATCHDOG=1")

    def watchdog_interval(self) -> float | None:
        """Return the seconds (``WatchdogSec``) after which systemd ends who was not heard of.

        Call `watchdog` twice as often. None where the unit has none, or it is meant for another
        process.
        """
        usec = self._environ.get("WATCHDOG_USEC", "")
        pid = self._environ.get("WATCHDOG_PID", "")
        if not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
            return None
        if pid and pid != str(os.getpid()):
            return None
        return int(usec) / 1_000_000

    def _notify(self, assignments: str) -> bool:
        """A socket of a VM (vsock) is not for us."""
        path = self._environ.get("NOTIFY_SOCKET", "")
        if not path.startswith(("/", "@")):
            return False
        address = "\0" + path[1:] if path.startswith("@") else path
        try:
            with _datagrams() as sender:
                sender.sendto(assignments.encode(), address)
        except OSError:
            return False
        return True


def is_journal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if what is written to ``stream`` ends up in the journal.

    ``JOURNAL_STREAM`` is device and inode of the stream that systemd gave to the service. It is
    inherited, so that it holds only where the descriptor is still that one.
    """
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # ValueError: it is closed, or has no descriptor
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Journal:
    """journald's native socket: entries with fields, in place of lines of text."""

    def __init__(self, path: Path = JOURNAL_SOCKET) -> None:
        self._path = str(path)
        self._socket = _datagrams()

    def send(self, fields: Mapping[str, str]) -> bool:
        """Write one entry. Return False where nobody reads: then it needs another way.

        Names are as journald wants them: capitals, digits and ``_``, a capital first. An entry
        that journald does not take in time is lost: it would be stuck on stderr as well.
        """
        try:
            self._socket.sendto(b"".join(_field(*field) for field in fields.items()), self._path)
        except TimeoutError:
            return True
        except OSError as error:
            return error.errno == errno.EAGAIN
        return True

    def close(self) -> None:
        self._socket.close()


def _datagrams() -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    found.settimeout(PATIENCE)
    return found


def _field(name: str, value: str) -> bytes:
    """``NAME=value``; with a line break in it the name, the length and the value."""
    data = value.encode(errors="replace")[:LONGEST_VALUE]
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
