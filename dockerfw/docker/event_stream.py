"""Docker's event stream: the lines of ``GET /events``, one `Event` after the other.

Takes a `Connection`; gives events as they come. What a line means is for `events.read_event`.
"""

from __future__ import annotations

import json
import threading
from http.client import HTTPException

from dockerfw.docker.connection import Connection
from dockerfw.docker.events import FILTERS, Event, Misread, read_event
from dockerfw.docker.json_values import one_line
from dockerfw.errors import Failed

_LONGEST_LINE = 1 << 20
"""Bytes; an event has the container's labels in it."""


class EventStream:
    """An iterator of what happens in Docker; `Misread` stands for a line that makes no sense.

    It waits as long as nothing happens. It ends when Docker closes the stream, or `close` does;
    it raises `Failed` when what comes is no stream of events.
    """

    def __init__(self, connection: Connection, since: float) -> None:
        """Open the stream; ``since`` is now, in Unix time. Raises `Failed`.

        Docker answers a moment before it takes note of events, and keeps the last 256: with
        ``since`` those of that moment are sent too.
        """
        self._where = connection.where
        self._lock = threading.Lock()
        self._reading = self._closed = False
        query = {"filters": json.dumps(FILTERS), "since": f"{since:.9f}"}
        self._opened = connection.open_events(query)

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> Event | Misread:
        with self._lock:
            if self._closed:
                raise StopIteration
            self._reading = True
        found = None
        try:
            found = self._read()
        finally:
            with self._lock:
                self._reading = False
                if self._closed or found is None:
                    self._closed = True
                    self._opened.close()
        if found is None:
            raise StopIteration
        return found

    def _read(self) -> Event | Misread | None:
        while line := self._line():
            if line.strip() and (found := read_event(line)) is not None:
                return found
        return None

    def _line(self) -> bytes:
        try:
            line = self._opened.readline(_LONGEST_LINE)
        except (OSError, HTTPException, ValueError) as error:
            if self._closed:
                return b""
            raise Failed(f"Docker's event stream at {self._where} broke: {one_line(error)}") from (
                error
            )
        if len(line) >= _LONGEST_LINE:
            raise Failed(f"Docker's event stream at {self._where} sends a line without an end")
        return line

    def close(self) -> None:
        """End the stream, from whichever thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._opened.shut_down()
            # A thread that reads gives it back itself: closed under its hands, the descriptor
            # might be another one's by then.
            if not self._reading:
                self._opened.close()
