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
"""Bytes. An event has all labels of the container in it, so whoever starts one decides how long
it is; a longer one is passed over."""


class EventStream:
    """An iterator of what happens in Docker; `Misread` stands for a line that makes no sense.

    It waits as long as nothing happens. It ends when Docker closes the stream, or `close` does;
    it raises `Failed` when what comes is no stream of events. No more than one line is held, and
    of a line that is too long no more than a piece.
    """

    def __init__(self, connection: Connection, since: float) -> None:
        """Open the stream; ``since`` is now, in Unix time. Raises `Failed`.

        Docker answers a moment before it takes note of events, and keeps the last 256: with
        ``since`` those of that moment are sent too.
        """
        self._where = connection.where
        self._lock = threading.Lock()
        self._reading = self._closed = False
        self._passing_over = False
        """Whether what comes is the rest of a line that is too long."""
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
            if self._passing_over:
                # Before its end is there: what it was about is read all the sooner.
                return Misread(
                    "an event of Docker is longer than 1 MiB, as labels make it: it was passed over"
                )
            if line.strip() and (found := read_event(line)) is not None:
                return found
        return None

    def _line(self) -> bytes:
        """Return the next line, or the beginning of one that is too long; empty at the end."""
        while self._passing_over:
            piece = self._piece()
            if not piece:
                return b""
            self._passing_over = not piece.endswith(b"\n")
        line = self._piece()
        self._passing_over = len(line) >= _LONGEST_LINE and not line.endswith(b"\n")
        return line

    def _piece(self) -> bytes:
        try:
            return self._opened.readline(_LONGEST_LINE)
        except (OSError, HTTPException, ValueError) as error:
            if self._closed:
                return b""
            raise Failed(f"Docker's event stream at {self._where} broke: {one_line(error)}") from (
                error
            )

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
