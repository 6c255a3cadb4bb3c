"""One thread beside the daemon's main loop, for what takes long and changes nothing there.

Takes callables; gives their results back in the main loop, in order. It decides nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from dockerfw.wakeup import Wakeup


class Worker:
    """Runs one callable after the other. Watch `fileno` and call `finish` when it is readable."""

    def __init__(self) -> None:
        self._todo: queue.SimpleQueue[Callable[[], Callable[[], None]]] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wakeup = Wakeup()
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._wakeup.fileno()

    def submit(
        self, work: Callable[[], Any], then: Callable[[Any], None] = lambda _result: None
    ) -> None:
        """``then`` gets what ``work`` gave, or the exception that it raised, in the main loop."""

        def task() -> Callable[[], None]:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - the main loop handles it
                result = error
            return lambda: then(result)

        self._todo.put(task)

    def finish(self) -> None:
        """Call what waits for finished work."""
        self._wakeup.clear()
        while not self._done.empty():
            self._done.get()()

    def _work(self) -> None:
        while True:
            self._done.put(self._todo.get()())
            self._wakeup.wake()
