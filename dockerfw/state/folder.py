"""One folder on disk: JSON and text files that are replaced whole.

Takes and gives values; every write is atomic (`replace_file`), and a file that is missing or
broken reads as an empty one. What the files mean is for the other modules of ``state`` to know.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dockerfw.errors import Failed
from dockerfw.state.durable import replace_file


class Folder:
    """A folder that only its owner may read; it is made when something is first written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        return self.path / name

    def make(self) -> None:
        """Make the folder where it is missing. Raises `Failed`."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"cannot write {self.path}: {error.strerror}") from error

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the object in this file; an empty one where there is none to be read."""
        try:
            found = json.loads(self.file(name).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_json(self, name: str, value: object) -> None:
        """Replace the file, in a folder that exists. Raises `Failed`."""
        self.write(name, json.dumps(value, indent=1) + "\n")

    def write(self, name: str, text: str) -> None:
        """Replace the file, in a folder that exists. Raises `Failed`."""
        path = self.file(name)
        try:
            replace_file(path, text.encode())
        except OSError as error:
            raise Failed(f"cannot write {path}: {error.strerror}") from error

    def write_if_changed(self, name: str, text: str) -> None:
        """As `write`, but a file that holds this text already stays as it is."""
        path = self.file(name)
        if not path.exists() or path.read_text() != text:
            self.make()
            self.write(name, text)
