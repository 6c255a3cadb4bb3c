"""Wakes a loop that waits for sockets, from another thread or from a signal handler.

A `Wakeup` carries no values: whoever calls `Wakeup.wake` puts what is to be taken somewhere first,
and whoever takes it calls `Wakeup.clear` before, so that nothing is missed.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Wakeup:
    """A socket that is readable while there is something to take: pass it to ``select``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def sender_fileno(self) -> int:
        """Return the end to write to, as ``signal.set_wakeup_fd`` wants it."""
        return self._writer.fileno()

    def wake(self) -> None:
        """Make it readable. Never waits; any thread may call it, also after `close`."""
        # The lock keeps a byte from a file descriptor that was closed and opened again meanwhile.
        with self._lock, suppress(BlockingIOError):  # where the buffer is full it is readable
            if not self._closed:
                self._writer.send(b"\0")

    def clear(self) -> bytes:
        """Make it unreadable; return what was written: a zero for each wake, or signal numbers."""
        written = bytearray()
        with suppress(BlockingIOError):
            while chunk := self._reader.recv(4096):
                written += chunk
        return bytes(written)

    def close(self) -> None:
        """Close both ends."""
        with self._lock:
            self._closed = True
            self._reader.close()
            self._writer.close()
