"""File locks: one writer at a time, one daemon on a host.

Locks are ``flock`` locks, so that they end with the process that holds them, however it ends.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from dockerfw.clock import Clock
from dockerfw.errors import Failed
from dockerfw.state.folder import Folder

_PAUSE = 0.02
"""Seconds between two looks at a lock that is not waited for without end."""


@contextmanager
def wait_for_lock(folder: Folder, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock; where another process has it, ``say`` so once and wait. Raises `Failed`."""
    with _open(folder, name) as file:
        if not _take(file):
            say("another dockerfw is at work: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def wait_a_while(
    folder: Folder, name: str, say: Callable[[str], None], clock: Clock, seconds: float
) -> Iterator[bool]:
    """As `wait_for_lock`, but give False where another process has it for longer than that."""
    with _open(folder, name) as file:
        ours = _take(file)
        if not ours:
            say("another dockerfw is at work: waiting for it")
        deadline = clock.monotonic() + seconds
        while not ours and clock.monotonic() < deadline:
            clock.sleep(_PAUSE)
            ours = _take(file)
        yield ours


@contextmanager
def try_lock(folder: Folder, name: str) -> Iterator[bool]:
    """Hold the lock if it is free; give False at once if another process has it.

    Raises `Failed` when the lock file cannot be written.
    """
    with _open(folder, name) as file:
        yield _take(file)


def is_locked(folder: Folder, name: str) -> bool:
    """Return True if another process holds this lock now."""
    try:
        with folder.file(name).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _open(folder: Folder, name: str) -> TextIO:
    """Closing the file gives the lock back."""
    folder.make()
    path = folder.file(name)
    try:
        return path.open("a")
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}") from error


def _take(file: TextIO) -> bool:
    """Return True if the lock is ours now, False if another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
