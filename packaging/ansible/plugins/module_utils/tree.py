# Copyright dockerfw contributors
# SPDX-License-Identifier: Apache-2.0

"""The files of a policy: as they are on this host, and as they are wanted.

Takes the folder of the policy and the wanted texts by their path in there, where None stands for a
file that is not to be there. Gives what differs, a folder in which the wanted policy can be tried,
and the way there and back. Touches no file that is not among the wanted ones.
"""

from __future__ import annotations

import os
from pathlib import Path

MODE = 0o600
"""Of new files; one that is there keeps its own."""
FOLDER_MODE = 0o755


class Wrong(Exception):
    """A path that cannot be one of the policy's."""


class Tree:
    """The wanted files of a policy beside those in its folder."""

    def __init__(self, folder: Path, wanted: dict[str, str | None]) -> None:
        """Raise `Wrong` for a path that leads out of the folder."""
        self.folder = folder
        self._wanted = {_inside(name): _encoded(text) for name, text in wanted.items()}
        self._before = {name: _read(folder / name) for name in self._wanted}
        self._modes = {name: _mode(folder / name) for name in self._wanted}
        self._made: list[Path] = []

    @property
    def differs(self) -> list[str]:
        """The paths of files that are to be written or taken away, in order."""
        return sorted(n for n, data in self._wanted.items() if data != self._before[n])

    def texts(self, name: str) -> tuple[str, str]:
        """Return what is in a file, and what is to be; a file that is not there is empty."""
        before, after = self._before[name] or b"", self._wanted[name] or b""
        return before.decode("utf-8", "replace"), after.decode("utf-8", "replace")

    def stage(self, staged: Path) -> None:
        """Lay the wanted policy into an empty folder, with links to all files that stay."""
        _link(self.folder, staged, {Path(name).parts for name in self._wanted})
        for name, data in self._wanted.items():
            if data is not None:
                _make_folders(staged, (staged / name).parent)
                _write(staged / name, data, MODE)

    def lay(self) -> None:
        """Write what differs, the policy itself last: it names the others."""
        for name in sorted(self.differs, key=lambda name: (name.count("/") == 0, name)):
            self._put(name, self._wanted[name])

    def restore(self) -> None:
        """Take `lay` back."""
        for name in self.differs:
            self._put(name, self._before[name])
        while self._made:
            made = self._made.pop()
            if made.is_dir() and not any(made.iterdir()):
                made.rmdir()

    def _put(self, name: str, data: bytes | None) -> None:
        path = self.folder / name
        if data is None:
            path.unlink(missing_ok=True)
            return
        self._made += _make_folders(Path("/"), path.parent)
        _write(path.resolve(), data, self._modes[name])


def _inside(name: str) -> str:
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise Wrong(f"{name!r} is no path below the folder of the policy")
    return "/".join(parts)


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Wrong(f"{path} cannot be read: {error.strerror}") from error


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return MODE


def _link(live: Path, staged: Path, wanted: set[tuple[str, ...]]) -> None:
    """Fill a folder with links to what is in another one, but for the wanted paths."""
    for entry in live.iterdir() if live.is_dir() else ():
        if (entry.name,) in wanted:
            continue
        below = {parts[1:] for parts in wanted if parts[0] == entry.name and len(parts) > 1}
        if below and entry.is_dir():
            (staged / entry.name).mkdir(mode=FOLDER_MODE)
            _link(entry, staged / entry.name, below)
        else:
            (staged / entry.name).symlink_to(entry)


def _make_folders(top: Path, folder: Path) -> list[Path]:
    """Make a folder and those above it below ``top``; return those that were not there."""
    missing = [one for one in (folder, *folder.parents) if one != top and not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=FOLDER_MODE)
    return missing[::-1]


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace a file by one of root's, so that nobody reads half of it."""
    beside = path.with_name(f".{path.name}.ansible")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    beside.replace(path)
