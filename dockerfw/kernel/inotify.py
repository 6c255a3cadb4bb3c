"""Which files were written, replaced or taken away, by inotify.

`FileNotices` has a descriptor for a selector, and a `read` that never blocks. Watch first, then
read the files: then no change falls in between. Never changes a file, and starts no process.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from dockerfw.errors import Failed

# sys/inotify.h
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x4000, 0x8000
_ONLY_FOLDERS, _IS_FOLDER = 0x1000000, 0x40000000
_FOLDER_GONE = _DELETE_SELF | _MOVE_SELF | _IGNORED
_WATCHED = (
    _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
    | _DELETE_SELF | _MOVE_SELF | _ONLY_FOLDERS
)  # fmt: skip
_BUFFER = 1 << 16
_EVENT = struct.Struct("=iIII")  # watch, mask, cookie, length of the name

_MOST_LINKS = 40  # as the kernel's own limit
_TRIES = 20

_Stamp: TypeAlias = "tuple[int, int, int, int] | None"
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class _Watch:
    """A folder that is watched: for each name in it that matters, the paths that it is part of."""

    folder: Path
    names: dict[str, set[Path]] = field(default_factory=dict)


class FileNotices:
    """Reports which of some files were closed after writing, renamed into place or taken away.

    A socket is reported as soon as it is made.

    A path is followed as the kernel walks it: where it, or a folder in it, is a symbolic link,
    both the link (pointed elsewhere) and what it points to (rewritten, replaced) are watched. What
    is watched is always the folder, so a file may be replaced any number of times, and need not
    exist yet, nor its folder: then the nearest folder that does is watched until it appears.
    Not noticed: a folder that is moved together with the one above it, a write through a mapping
    or another hard link, and what another machine does on a network file system.

    Raises `Failed` when the kernel has no inotify to give.
    """

    def __init__(self) -> None:
        self._descriptor = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._descriptor < 0:
            raise Failed(
                f"files cannot be watched ({os.strerror(ctypes.get_errno())}): see the kernel's "
                "settings fs.inotify and the limit of open files"
            )
        self._watches: dict[int, _Watch] = {}
        self._stamps: dict[Path, _Stamp] = {}

    def fileno(self) -> int:
        return self._descriptor

    def watch(self, paths: Collection[Path]) -> frozenset[Path]:
        """Watch these and no others from now on; read the files afterwards. Those that were
        watched before lose no notice.

        Returns those that cannot be watched (a folder that may not be read, the kernel's limit
        ``fs.inotify.max_user_watches``): they have to be polled.
        """
        known = self._stamps
        self._stamps = dict.fromkeys(paths)
        unwatched = self._arm()
        self._stamps = {path: known[path] if path in known else _stamp(path) for path in paths}
        return unwatched

    def read(self) -> frozenset[Path]:
        """Return the paths that changed since the last call, as they were given. Never blocks."""
        changed: set[Path] = set()
        suspect: set[Path] = set()
        for number, mask, name in self._events():
            if mask & _OVERFLOW:
                changed |= self._stamps.keys()
            elif (watch := self._watches.get(number)) is not None:
                if mask & _FOLDER_GONE:
                    suspect |= set().union(*watch.names.values())
                elif mask & _IS_FOLDER or (mask & _CREATE and _target(watch.folder / name)):
                    suspect |= watch.names.get(name, set())
                elif not mask & _CREATE or _is_socket(watch.folder / name):
                    changed |= watch.names.get(name, set())
        if changed or suspect:
            self._arm()
        # A folder on the way appeared or vanished: the file may be there, or gone, or not.
        changed |= {path for path in suspect if self._stamps[path] != _stamp(path)}
        self._stamps |= {path: _stamp(path) for path in changed}
        return frozenset(changed)

    def close(self) -> None:
        os.close(self._descriptor)

    def _events(self) -> Iterator[tuple[int, int, str]]:
        """Yield (watch, mask, name in that folder) of all that waits."""
        with suppress(BlockingIOError):
            while True:
                data = os.read(self._descriptor, _BUFFER)
                while data:
                    number, mask, _, length = _EVENT.unpack_from(data)
                    end = _EVENT.size + length
                    yield number, mask, os.fsdecode(data[_EVENT.size : end].rstrip(b"\0"))
                    data = data[end:]

    def _arm(self) -> frozenset[Path]:
        """Watch what the paths are made of now; return those for which that cannot be done."""
        walked: dict[Path, dict[str, set[Path]]] = {}
        watches: dict[int, _Watch] = {}
        unwatched: set[Path] = set()
        for _ in range(_TRIES):
            before, walked = walked, _walks(self._stamps)
            # What appeared after the first walk, and before its folder was watched, is found by
            # the second.
            if walked == before:
                break
            watches, unwatched = {}, set()
            for folder, names in walked.items():
                number = self._add(folder)
                if number is None:
                    unwatched |= set().union(*names.values())
                    continue
                watch = watches.setdefault(number, _Watch(folder))
                for name, paths in names.items():
                    watch.names.setdefault(name, set()).update(paths)
        for number in self._watches.keys() - watches.keys():
            # The kernel has removed it already if the folder is gone.
            _libc.inotify_rm_watch(self._descriptor, number)
        self._watches = watches
        return frozenset(unwatched)

    def _add(self, folder: Path) -> int | None:
        """Return the watch of this folder, the same as before if there is one; None: refused."""
        number = int(_libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _WATCHED))
        return number if number >= 0 else None


def _walks(paths: Collection[Path]) -> dict[Path, dict[str, set[Path]]]:
    """Return folder -> name in it -> the paths that depend on that name."""
    walked: dict[Path, dict[str, set[Path]]] = {}
    for path in paths:
        for folder, name in _walk(path):
            walked.setdefault(folder, {}).setdefault(name, set()).add(path)
    return walked


def _walk(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the names (each with its folder) whose change makes the path another file: every
    symbolic link on the way, and the file itself, or the first name that is missing.
    """
    names = list(reversed(path.absolute().parts[1:]))
    folder, links = Path("/"), 0
    while names and links < _MOST_LINKS:
        name = names.pop()
        here = folder.parent if name == ".." else folder / name
        target = _target(here)
        if target is not None:
            yield folder, name
            links += 1
            folder = Path("/") if target.is_absolute() else folder
            names += reversed([part for part in target.parts if part != "/"])
        elif names and here.is_dir():
            folder = here
        else:
            yield folder, name
            return


def _target(path: Path) -> Path | None:
    """Return where a symbolic link points to; None: it is none, or there is nothing."""
    try:
        return path.readlink()
    except OSError:
        return None


def _is_socket(path: Path) -> bool:
    """Nobody writes a socket: it is there as soon as it is made."""
    try:
        return path.is_socket()
    except OSError:
        return False


def _stamp(path: Path) -> _Stamp:
    """Return the identity of a file, which another one in its place has not; None: no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
