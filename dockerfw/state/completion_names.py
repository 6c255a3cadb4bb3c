"""The names that a shell offers at TAB: a file that its completion script reads by itself.

Takes and gives text; reads and writes ``/run/dockerfw/completion`` only. The file is root's alone:
names of containers are not for every user of a host. It is a comfort: where it cannot be written,
nothing is said.
"""

from __future__ import annotations

from contextlib import suppress

from dockerfw.errors import Failed
from dockerfw.state.folder import Folder

FILE = "completion"


class CompletionNames:
    """What was last written down for completion."""

    def __init__(self, run: Folder) -> None:
        self._run = run

    def remember(self, text: str) -> None:
        """Replace the file, whatever is in its place; nothing happens where that is impossible."""
        with suppress(Failed, OSError):
            self._run.make()
            self._run.write(FILE, text)

    def forget(self) -> None:
        with suppress(OSError):
            self._run.file(FILE).unlink(missing_ok=True)
