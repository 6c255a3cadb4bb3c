"""The files of a test host or machine, read and written from out here."""

from __future__ import annotations

from pathlib import Path


class Files:
    """Something with a tree of files of its own."""

    def path(self, path: str) -> Path:
        """Return where this file of it is for this process."""
        raise NotImplementedError

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, and make its folders."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)

    def read(self, path: str) -> str:
        return self.path(path).read_text(encoding="utf-8")
