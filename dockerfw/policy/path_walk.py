"""A path -> an opened file or folder, and on the way everything that decides which one it is.

Takes a path, walks it name by name on descriptors as the kernel would, and shows each folder, each
link and what is at its end to its caller, as they were opened: whoever swaps a name meanwhile is
either not met, or shown. Judges nothing, and reads no contents.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["folder", "link", "file"]

_MOST_LINKS = 40  # as the kernel's own limit
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO without a writer would make open() wait: O_NONBLOCK keeps it from that.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_NO_FILES = ("pipe:[", "socket:[", "anon_inode:")
"""How links in /proc/self/fd begin that stand for no path."""


@dataclass(frozen=True, slots=True)
class Met:
    """Something on the way: ``path`` has no link in it before its last name.

    ``found`` is of the open ``handle``, which the walk closes, except that of its end.
    """

    kind: Kind
    path: str
    found: os.stat_result
    handle: int

    @property
    def has_acl(self) -> bool:
        """Return True unless it is certain that its mode alone says who may use it."""
        try:
            # A descriptor that was opened with O_PATH has no other way to this.
            os.getxattr(f"/proc/self/fd/{self.handle}", "system.posix_acl_access")
        except OSError as error:
            return error.errno not in (errno.ENODATA, errno.ENOTSUP)
        return True


Visit: TypeAlias = Callable[[Met], None]


def open_file(path: Path, visit: Visit) -> int:
    """Return a descriptor of a regular file, for reading. Raises OSError.

    ``visit`` is called for all that is met, the root folder first, also where an error follows.
    """
    return _Walk(visit, "file").open(path)


def open_folder(path: Path, visit: Visit) -> int:
    """Return a descriptor of a folder, for listing. Raises OSError; ``visit`` as `open_file`."""
    return _Walk(visit, "folder").open(path)


class _Walk:
    """One path. ``_folders`` are those from the root to where it has come: ``..`` goes back."""

    def __init__(self, visit: Visit, wanted: Kind) -> None:
        self._visit = visit
        self._wanted = wanted
        self._folders: list[tuple[str, int]] = []
        self._links = 0

    def open(self, path: Path) -> int:
        try:
            return self._walk(path)
        finally:
            self._back_to(0)

    def _walk(self, path: Path) -> int:
        names = self._begin(str(path.absolute()))
        while names:
            name = names.pop()
            if name == "..":
                self._back_to(max(1, len(self._folders) - 1))
                continue
            handle = os.open(name, _LOOK, dir_fd=self._folders[-1][1])
            try:
                found = os.fstat(handle)
                if stat.S_ISLNK(found.st_mode):
                    names += self._follow(name, handle, found)
                elif names:
                    self._enter(name, handle, found)
                else:
                    return self._end(name, found)
            finally:
                os.close(handle)
        # It is the root folder, or ends in `..`.
        return self._end(".", os.fstat(self._folders[-1][1]))

    def _begin(self, path: str) -> list[str]:
        """Stand in the root folder; return the names of an absolute path, the next one last."""
        self._back_to(0)
        handle = os.open("/", _LOOK)
        self._folders.append(("/", handle))
        self._visit(Met("folder", "/", os.fstat(handle), handle))
        return _names(path)

    def _enter(self, name: str, handle: int, found: os.stat_result) -> None:
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        path = self._path(name)
        self._visit(Met("folder", path, found, handle))
        self._folders.append((path, os.dup(handle)))

    def _follow(self, name: str, handle: int, found: os.stat_result) -> list[str]:
        """Return the names that a link stands for, the next one last."""
        self._visit(Met("link", self._path(name), found, handle))
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink("", dir_fd=handle)
        if target.startswith(_NO_FILES):
            raise _no_file()
        return self._begin(target) if target.startswith("/") else _names(target)

    def _end(self, name: str, found: os.stat_result) -> int:
        handle = self._open_last(name, found)
        try:
            opened = os.fstat(handle)
            self._require_wanted(opened)
            self._visit(Met(self._wanted, self._path(name), opened, handle))
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _open_last(self, name: str, found: os.stat_result) -> int:
        self._require_wanted(found)  # before it is opened: a device may do something when it is
        try:
            flags = _READ if self._wanted == "file" else _LIST
            return os.open(name, flags, dir_fd=self._folders[-1][1])
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise OSError(0, "it became a link while it was opened: try again") from None

    def _require_wanted(self, found: os.stat_result) -> None:
        if self._wanted == "file" and not stat.S_ISREG(found.st_mode):
            raise _no_file()

    def _path(self, name: str) -> str:
        return str(Path(self._folders[-1][0]) / name)

    def _back_to(self, depth: int) -> None:
        for _, handle in self._folders[depth:]:
            os.close(handle)
        del self._folders[depth:]


def _no_file() -> OSError:
    return OSError(0, "it is no regular file")


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
