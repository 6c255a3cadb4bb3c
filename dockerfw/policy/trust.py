"""Who could have changed what is on the way to a file, and who may read that file.

Takes what a walk has met (``path_walk.py``), gives what is wrong with it, for people. Never opens
anything.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass

from dockerfw.policy.path_walk import Met

_WHAT = {"file": "this file", "folder": "its folder {}", "link": "its link {}"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something cannot be trusted. ``by_everyone``: anybody at all could have written there."""

    text: str
    by_everyone: bool = False


def trusted_users() -> frozenset[int]:
    """Return the ids of root, of the caller, and of the user that called sudo."""
    sudo = sudo_user()
    return frozenset({0, os.getuid()} | (set() if sudo is None else {sudo}))


def sudo_user() -> int | None:
    """Return the id of the user that called sudo; None: nobody did."""
    sudo = os.environ.get("SUDO_UID", "")
    return int(sudo) if sudo.isascii() and sudo.isdigit() else None


def user_name() -> str:
    """Return the name of the user that called sudo, else of this process' own; its id without."""
    user = sudo_user()
    user = os.getuid() if user is None else user
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def problem(met: Met, trusted: frozenset[int], name: str) -> Problem | None:
    """Return why others could have decided which file this is, or what it holds; None: they cannot.

    ``name`` is how messages call the file at the end of the walk.
    """
    path = name if met.kind == "file" else shown_path(met.path)
    what, mode = _WHAT[met.kind].format(path), met.found.st_mode
    if met.found.st_uid not in trusted and met.kind == "folder" and path.startswith("/home/"):
        return Problem(
            f"{what} belongs to user {met.found.st_uid}, who could put another file there: keep "
            "the policy where every folder is root's, in /etc/dockerfw, say"
        )
    if met.found.st_uid not in trusted:
        command = f"chown {'-h ' if met.kind == 'link' else ''}root {path}"
        return Problem(f"{what} belongs to user {met.found.st_uid}, who could change it: {command}")
    if met.kind == "link":
        return None  # everyone may write to it, says its mode, and nobody can
    if met.kind == "folder" and mode & stat.S_ISVTX:
        return None  # as in /tmp: nobody can replace what others have put there
    if mode & stat.S_IWOTH:
        return Problem(f"{what} can be written by everyone: chmod o-w {path}", by_everyone=True)
    if mode & stat.S_IWGRP:
        return Problem(f"{what} can be written by its group: chmod g-w {path}")
    return None


class Reader:
    """The user that called sudo, as one who may or may not read a file by himself."""

    def __init__(self, user: int) -> None:
        self._user = user
        try:
            entry = pwd.getpwuid(user)
            groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
        except KeyError:
            self._groups = None  # of a user that has no name: in no group, or in any
        else:
            self._groups = frozenset(groups)

    def may_pass(self, met: Met) -> bool:
        """Return True if this user may go through that folder, or read that file.

        Goes by owner, groups and mode alone: where an access control list adds to them, nobody
        may but the owner.
        """
        if self._user == 0 or met.kind == "link":
            return True
        bit = 1 if met.kind == "folder" else 4
        mode = met.found.st_mode
        owner, group, others = bool(mode >> 6 & bit), bool(mode >> 3 & bit), bool(mode & bit)
        if met.found.st_uid == self._user:
            return owner
        if met.has_acl:
            return False
        if self._groups is None:
            return group and others
        return group if met.found.st_gid in self._groups else others


def reader() -> Reader | None:
    """Return the user that called sudo for a process of root; None: it reads for its own user."""
    user = sudo_user()
    return Reader(user) if user is not None and os.geteuid() == 0 else None


def shown_path(path: str) -> str:
    """Return a path for messages, on one line: file names are bytes, and those need not be text."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
