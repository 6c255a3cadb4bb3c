"""One thread beside the daemon's main loop, for what takes long and changes nothing there.

Takes callables; gives their results back in the main loop, in order. It decides nothing.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable
from typing import Any


class Worker:
    """Runs one callable after the other. Watch `fileno` and call `finish` when it is readable."""

    def __init__(self) -> None:
        self._todo: queue.SimpleQueue[Callable[[], Callable[[], None]]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._thread = threading.Thread(target=self._work, name="dockerfw-worker", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._reader.fileno()

    def submit(
        self, work: Callable[[], Any], then: Callable[[Any], None] = lambda _result: None
    ) -> None:
        """``then`` gets what ``work`` gave, or the exception that it raised, in the main loop."""

        def task() -> Callable[[], None]:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it is told in the main loop
                result = error
            return lambda: then(result)

        self._todo.put(task)

    def finish(self) -> None:
        """Call what waits for finished work."""
        try:
            while self._reader.recv(4096):
                pass
        except BlockingIOError:
            pass
        while not self._done.empty():
            self._done.get()()

    def _work(self) -> None:
        while True:
            self._done.put(self._todo.get()())
            self._writer.send(b"!")
