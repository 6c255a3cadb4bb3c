"""What the daemon tells systemd: that it is ready, alive and how it is doing; and lines for the
journal with fields of their own.

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

from dockerfw.text import printable

PATIENCE = 0.5
"""Seconds that a full socket may hold us up."""
JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
LONGEST_STATUS = 1000
"""Characters. systemd passes over a datagram of more than 4,096 bytes altogether."""
LONGEST_VALUE = 8192
"""Bytes of one field. Larger entries would need a memfd, and no line of ours is worth one."""


def ready(environ: Mapping[str, str] = os.environ) -> bool:
    """Started: kernel, policy and Docker agree."""
    return _notify(environ, "READY=1")


def status(text: str, environ: Mapping[str, str] = os.environ) -> bool:
    """The line that ``systemctl status`` shows."""
    return _notify(environ, f"STATUS={printable(text)[:LONGEST_STATUS]}")


def stopping(environ: Mapping[str, str] = os.environ) -> bool:
    return _notify(environ, "STOPPING=1")


def watchdog(environ: Mapping[str, str] = os.environ) -> bool:
    """The main loop turns."""
    return _notify(environ, "WATCHDOG=1")


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds (``WatchdogSec``) after which systemd ends who did not call `watchdog`.

    Call it twice as often. None where the unit has none, or it is meant for another process.
    """
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
        return None
    if pid and pid != str(os.getpid()):
        return None
    return int(usec) / 1_000_000


def _notify(environ: Mapping[str, str], assignments: str) -> bool:
    """sd_notify(3): whether systemd took the message. A socket of a VM (vsock) is not for us."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with _datagrams() as sender:
            sender.sendto(assignments.encode(), address)
    except OSError:
        return False
    return True


def stderr_is_journal(environ: Mapping[str, str] = os.environ, fd: int = 2) -> bool:
    """Whether what is written to ``fd`` ends up in the journal.

    ``JOURNAL_STREAM`` is device and inode of the stream that systemd gave to the service. It is
    inherited, so that it holds only where the descriptor is still that one.
    """
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Journal:
    """journald's native socket: entries with fields, in place of lines of text."""

    def __init__(self, path: Path = JOURNAL_SOCKET) -> None:
        self._path = str(path)
        self._socket = _datagrams()

    def send(self, fields: Mapping[str, str]) -> bool:
        """Write one entry. False: nobody is there, say it another way.

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
