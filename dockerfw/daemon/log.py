"""Where the daemon's lines go: to the journal, with fields of their own, or to stderr.

Takes a `Line`, or a message with fields; writes exactly one entry. Whatever a message holds is
printed on one line and cannot steer a terminal. Nothing in here raises: a daemon whose
log is lost goes on. What the lines say is for ``log_lines.py`` and ``lifecycle_lines.py``.

Which way, when ``form`` is ``text``:

* stderr is the journal's stream: journald's native socket; where nobody answers there, stderr
  with ``<4>`` and the like in front, which journald takes off again and keeps as the priority;
* else stderr, with the time in front.

``json`` is for those who read stderr themselves: one object a line, also under systemd.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, TextIO, TypeAlias

from dockerfw.clock import Clock
from dockerfw.daemon.log_lines import Level, Line, Value
from dockerfw.daemon.systemd import JOURNAL_SOCKET, Journal, is_journal
from dockerfw.text import printable

Form: TypeAlias = Literal["text", "json"]
_PRIORITIES: Mapping[Level, int] = {"error": 3, "warning": 4, "info": 6}
"""As in syslog(3)."""


class Log:
    """May be used by several threads.

    ``journal``: write to journald itself, and to ``stream`` only what it does not take.
    ``prefixed``: the stream ends in the journal, so each line begins with its priority and needs
    no time.
    """

    def __init__(
        self,
        stream: TextIO,
        clock: Clock,
        form: Form = "text",
        journal: Journal | None = None,
        *,
        prefixed: bool = False,
    ) -> None:
        self._stream = stream
        self._form = form
        self._journal = journal
        self._prefixed = prefixed
        self._clock = clock
        self._lock = threading.Lock()

    def info(self, message: str, /, **fields: Value) -> None:
        self.write(Line("info", message, fields))

    def warning(self, message: str, /, **fields: Value) -> None:
        self.write(Line("warning", message, fields))

    def error(self, message: str, /, **fields: Value) -> None:
        self.write(Line("error", message, fields))

    def close(self) -> None:
        """Close the journal's socket. The stream belongs to whoever opened it."""
        if self._journal is not None:
            self._journal.close()

    def write(self, line: Line) -> None:
        message = _one_line(line.message)
        if self._journal is not None and self._journal.send(_journal_fields(line, message)):
            return
        text = self._json(line, message) if self._form == "json" else self._text(line, message)
        prefix = f"<{_PRIORITIES[line.level]}>" if self._prefixed else ""
        with self._lock, suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(f"{prefix}{text}\n")
            self._stream.flush()

    def _text(self, line: Line, message: str) -> str:
        level = "" if line.level == "info" else f"{line.level}: "
        when = "" if self._prefixed else f"{_moment(self._clock.time(), 'seconds')} "
        return f"{when}{level}{message}"

    def _json(self, line: Line, message: str) -> str:
        head = {
            "time": _moment(self._clock.time(), "milliseconds"),
            "level": line.level,
            "message": message,
        }
        return json.dumps({**head, **line.fields})


def open_log(
    stream: TextIO,
    clock: Clock,
    form: Form = "text",
    environ: Mapping[str, str] = os.environ,
    journal_socket: Path = JOURNAL_SOCKET,
) -> Log:
    """Return the log of a daemon with this environment, and with ``stream`` as its stderr."""
    ours = is_journal(stream, environ)
    journal = Journal(journal_socket) if ours and form == "text" else None
    return Log(stream, clock, form, journal, prefixed=ours)


def _one_line(message: str) -> str:
    """The sentences of a message over several lines, one after the other."""
    return printable("; ".join(part.strip() for part in message.splitlines() if part.strip()))


def _moment(unix: float, unit: str) -> str:
    found = datetime.fromtimestamp(unix, timezone.utc).isoformat(timespec=unit)
    return found.replace("+00:00", "Z")


def _journal_fields(line: Line, message: str) -> dict[str, str]:
    """``DOCKERFW_CONTAINER`` and so on; a field without a value is left out."""
    head = {
        "MESSAGE": message,
        "PRIORITY": str(_PRIORITIES[line.level]),
        "SYSLOG_IDENTIFIER": "dockerfw",
    }
    own = {f"DOCKERFW_{k.upper()}": str(v) for k, v in line.fields.items() if v is not None}
    return {**head, **own}
