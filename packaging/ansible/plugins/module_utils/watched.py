# Copyright dockerfw contributors
# SPDX-License-Identifier: Apache-2.0

"""An apply with its files, all of which goes back unless it comes through.

Takes a `Tree` and the command line of an apply. The files are laid first, and are laid back when
that command fails or nobody confirms it: dockerfw itself puts back what was in force, but its
daemon follows lists as they are on the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.dockerfw.dockerfw.plugins.module_utils.tree import Tree

LOCK = Path("/run/dockerfw-ansible.lock")
"""Held by a process of this host for as long as an apply is not through."""


class Busy(Exception):
    """Another apply is not through yet."""


def lock() -> None:
    """Take the lock, for this process and those that come of it; raise `Busy`."""
    handle = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise Busy("an apply of Ansible's waits for its confirmation on this host") from None


def through(
    tree: Tree, argv: Sequence[str], stands: Callable[[], None] = lambda: None
) -> str | None:
    """Lay the files and run an apply to its end; return None, or why all is as it was.

    ``stands`` is called when the new rules stand, which is before anybody has confirmed them.
    """
    try:
        tree.lay()
        why = _run(argv, stands)
    except OSError as error:
        why = f"{error.filename or argv[0]}: {error.strerror}"
    except BaseException:
        tree.restore()
        raise
    if why is not None:
        tree.restore()
    return why


def begin(tree: Tree, argv: Sequence[str]) -> str | None:
    """As `through`, in a process that outlives the connection; return when the new rules stand.

    Return None then, or why all is as it was.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _leave(writing, tree, argv)
        finally:
            os._exit(1)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, encoding="utf-8") as told:
        line = told.readline()
    if not line:
        return "the process that applies it has ended before its time"
    why: str | None = json.loads(line)
    return why


def _leave(writing: int, tree: Tree, argv: Sequence[str]) -> None:
    """Go on as a process of nobody's, without a terminal and without the connection's pipes."""
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.chdir("/")

    def tell(why: str | None = None) -> None:
        with contextlib.suppress(BrokenPipeError):  # who began it may have gone
            os.write(writing, f"{json.dumps(why)}\n".encode())

    tell(through(tree, argv, tell))
    os._exit(0)


def _run(argv: Sequence[str], stands: Callable[[], None]) -> str | None:
    """Return None, or what the command says when it fails."""
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        ) as apply:
            # Where it asks nobody, apply prints nothing before the new rules stand.
            if apply.stdout is not None and apply.stdout.read(1):
                stands()
            apply.communicate()
        if apply.returncode == 0:
            return None
        said.seek(0)
        words = said.read().decode("utf-8", "replace").strip().splitlines()
    return "; ".join(words) or f"exit status {apply.returncode}"
