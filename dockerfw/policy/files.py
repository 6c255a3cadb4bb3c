"""The files of a policy as the user keeps them: read safely, and only from who may be trusted.

Takes the path of the policy, gives a `PolicyText`. Checks owner and mode of each file and of the
folders above it, on the opened file; what is written there is for ``policy/parser.py``. Touches
nothing but files, and asks no DNS. The copy of the policy in force is ``state/policy_copy.py``'s.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dockerfw.errors import PolicyError, UsageError
from dockerfw.model.policy import HostAddresses, Policy
from dockerfw.policy.document import Document, list_name
from dockerfw.policy.parser import parse
from dockerfw.policy.utf8 import LARGEST

DROP_INS = "conf.d"
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy as text: all that it takes to parse it again without the files.

    ``files`` holds the list files by the name that messages give them. ``warnings`` are about
    owners and modes when the files were read; those about the text are in ``Policy.warnings``.
    ``names`` are the addresses of ``host:`` sources, as far as known; they change by themselves, so
    they do not make it another policy.
    """

    documents: tuple[Document, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    names: HostAddresses = field(default_factory=dict, compare=False)
    _policy: Policy | None = field(default=None, compare=False, repr=False)

    def parse(self) -> Policy:
        """Return the policy; after `collect` this costs nothing. Raises `PolicyError`."""
        policy = self._policy or parse(self.documents, self._read)
        return policy.with_names(self.names)

    def _read(self, document: str, path: str) -> bytes:
        name = list_name(document, path)
        if name not in self.files:
            raise FileNotFoundError(0, "it is not among the files of this copy")
        return self.files[name]


def collect(path: Path, *, for_kernel: bool) -> PolicyText:
    """Read the policy, what is in ``conf.d`` beside it, and the list files that they name.

    ``for_kernel``: refuse files that someone else could have written, where there are only
    warnings otherwise. Raises `UsageError` when there is no policy, `PolicyError` with every
    finding, those of the text included.
    """
    return _Collector(path, for_kernel=for_kernel).collect()


class _Collector:
    """Reads files, and collects what is wrong with their owners and modes."""

    def __init__(self, path: Path, *, for_kernel: bool) -> None:
        self._path = path
        self._trusted = _trusted_users()
        self._for_kernel = for_kernel
        self._errors: list[str] = []
        self._warnings: dict[str, None] = {}
        self._folders: dict[str, Path] = {}
        self._lists: dict[str, bytes] = {}
        self._checked: set[Path] = set()

    def collect(self) -> PolicyText:
        documents = tuple(self._documents())
        policy = None
        try:
            policy = parse(documents, self._read_list)
        except PolicyError as error:
            self._errors += error.findings
        if self._errors:
            raise PolicyError(self._errors)
        return PolicyText(documents, self._lists, tuple(self._warnings), _policy=policy)

    def read(self, path: Path, name: str) -> bytes:
        """Return one file, if only trusted users can have written it. Raises `PolicyError`."""
        try:
            found = self._open(path, name)
        except OSError as error:
            raise PolicyError([_unreadable(path, error)]) from None
        if self._errors:
            raise PolicyError(self._errors)
        return found

    def _documents(self) -> Iterator[Document]:
        try:
            yield self._document(self._path)
        except FileNotFoundError:
            raise UsageError(
                f"there is no policy at {_name(self._path)}: copy config.example.toml there and "
                "fit it to this host, or name another file with --config"
            ) from None
        except OSError as error:
            raise PolicyError([_unreadable(self._path, error)]) from None
        for path in self._drop_ins():
            document = self._drop_in(path)
            if document is not None:
                yield document

    def _drop_ins(self) -> list[Path]:
        folder = self._path.parent / DROP_INS
        try:
            return sorted(path for path in folder.iterdir() if path.match("[!.]*.toml"))
        except FileNotFoundError:
            return []
        except OSError as error:
            self._errors.append(_unreadable(folder, error))
            return []

    def _drop_in(self, path: Path) -> Document | None:
        try:
            return self._document(path)
        except OSError as error:
            self._errors.append(_unreadable(path, error))
            return None

    def _document(self, path: Path) -> Document:
        name = _name(path)
        self._folders[name] = path.parent
        return Document(name, self._open(path, name))

    def _read_list(self, document: str, path: str) -> bytes:
        name = list_name(document, path)
        self._lists[name] = self._open(self._folders[document] / path, name)
        return self._lists[name]

    def _open(self, path: Path, name: str) -> bytes:
        """Return the bytes of a regular file, after checks of who could have written it.

        Raises OSError.
        """
        # A FIFO without a writer would make open() wait: O_NONBLOCK keeps it from that.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(0, "it is no regular file")
            self._check_owner(found, name, "this file", name)
            self._check_folders(path, name)
            return _read_all(handle)
        finally:
            os.close(handle)

    def _check_folders(self, path: Path, name: str) -> None:
        """Check the folders above: who can write to one can replace the file."""
        written, real = Path(os.path.abspath(path)), Path(os.path.realpath(path))  # noqa: PTH100
        for folder in dict.fromkeys((*written.parents, *real.parents)):
            if folder not in self._checked:
                self._checked.add(folder)
                self._check_owner(folder.stat(), name, f"its folder {_name(folder)}", _name(folder))

    def _check_owner(self, found: os.stat_result, name: str, what: str, path: str) -> None:
        if found.st_uid not in self._trusted:
            problem = f"belongs to user {found.st_uid}, who could change it: chown root {path}"
            self._distrust(f"{name}:1: {what} {problem}")
        if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
            return  # as in /tmp: nobody can replace the files of others
        if found.st_mode & stat.S_IWOTH:
            self._errors.append(f"{name}:1: {what} can be written by everyone: chmod o-w {path}")
        elif found.st_mode & stat.S_IWGRP:
            self._distrust(f"{name}:1: {what} can be written by its group: chmod g-w {path}")

    def _distrust(self, finding: str) -> None:
        if self._for_kernel:
            self._errors.append(finding)
        else:
            self._warnings[finding] = None


def reread(text: PolicyText) -> tuple[PolicyText, tuple[str, ...]]:
    """Return the policy with its list files as they are now, and a line for each that is not.

    A list that is gone, that others could have written or that is broken keeps what it held.
    """
    kept: list[str] = []
    for name, held in text.files.items():
        collector = _Collector(Path(text.documents[0].name), for_kernel=True)
        try:
            found = collector.read(Path(name), name)
            if found != held:
                text = replace(text, files={**text.files, name: found}, _policy=None)
                text = replace(text, _policy=text.parse())
        except PolicyError as error:
            text = replace(text, files={**text.files, name: held}, _policy=None)
            kept.append(f"{error.findings[0]}; what it held before still counts")
    return text, tuple(kept)


def _unreadable(path: Path, error: OSError) -> str:
    hint = ": run it with sudo" if isinstance(error, PermissionError) else ""
    return f"{_name(path)}:1: cannot read it: {error.strerror}{hint}"


def _trusted_users() -> frozenset[int]:
    """Return the ids of root, of the caller, and of the user that called sudo."""
    sudo = os.environ.get("SUDO_UID", "")
    users = {0, os.getuid()}
    return frozenset(users | {int(sudo)} if sudo.isascii() and sudo.isdigit() else users)


def _name(path: Path) -> str:
    """Return a path for messages: file names are bytes, and those need not be text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_all(handle: int) -> bytes:
    """Return the whole file; of one that is too large one byte more than is allowed."""
    data = bytearray()
    while len(data) <= LARGEST and (chunk := os.read(handle, _READ)):
        data += chunk
    return bytes(data)
