"""The files of a policy as the user keeps them: read safely, and only from who may be trusted.

Takes the path of the policy, gives a `PolicyText`. Judges owner and mode of each file, and of every
folder and link on the way to it; what is written there is for ``policy/parser.py``. Touches nothing
but files, and asks no DNS. The copy of the policy in force is ``state/policy_copy.py``'s.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from dockerfw.errors import PolicyError, UsageError
from dockerfw.model.policy import HostAddresses, LanNetworks, Policy
from dockerfw.model.remark import Remark
from dockerfw.policy import trust
from dockerfw.policy.document import Document, list_name, without_contents
from dockerfw.policy.parser import parse
from dockerfw.policy.path_walk import Met, open_file, open_folder
from dockerfw.policy.utf8 import LARGEST

DROP_INS = "conf.d"
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy as text: all that it takes to parse it again without the files.

    ``files`` holds the list files by the name that messages give them. ``warnings`` are about
    owners and modes when the files were read; those about the text are in ``Policy.warnings``.
    ``names`` are the addresses of ``host:`` sources, as far as known, and ``lans`` the networks of
    ``lan:`` sources; they change by themselves, so they do not make it another policy. ``hidden``
    are the files that the user who called sudo may not read: no message shows what they hold.
    """

    documents: tuple[Document, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    names: HostAddresses = field(default_factory=dict, compare=False)
    lans: LanNetworks = field(default_factory=dict, compare=False)
    hidden: frozenset[str] = field(default=frozenset(), compare=False)
    _policy: Policy | None = field(default=None, compare=False, repr=False)

    def parse(self) -> Policy:
        """Return the policy; after `collect` this costs nothing. Raises `PolicyError`."""
        policy = self._policy or parse(self.documents, self._read, self.hidden)
        return policy.with_names(self.names, self.lans)

    def without_contents(self, lines: Sequence[str]) -> tuple[str, ...]:
        """Return lines ``FILE:LINE: text`` without the text of those about hidden files."""
        return without_contents(lines, self.hidden)

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
    """Reads files, and collects what is wrong with who could have written them."""

    def __init__(self, path: Path, *, for_kernel: bool) -> None:
        self._path = path
        self._trusted = trust.trusted_users()
        self._reader = trust.reader()
        self._for_kernel = for_kernel
        self._errors: dict[str, str] = {}  # by what is wrong, with the file that was first
        self._warnings: dict[str, str] = {}
        self._folders: dict[str, Path] = {}
        self._lists: dict[str, bytes] = {}
        self._hidden: set[str] = set()

    def collect(self) -> PolicyText:
        documents = tuple(self._documents())
        names = {document.name for document in documents}
        if self._hidden:
            self._hidden |= names  # what one says of a name may be a name of another one
        policy = None
        wrong: tuple[str, ...] = ()
        try:
            policy = parse(documents, self._read_list, self._hidden)
        except PolicyError as error:
            wrong = error.findings
        if wrong or self._errors:
            raise PolicyError([*self._errors.values(), *wrong])
        warnings = tuple(self._warnings.values())
        return PolicyText(
            documents, self._lists, warnings, hidden=frozenset(self._hidden), _policy=policy
        )

    def read(self, path: Path, name: str) -> bytes:
        """Return one file, if only trusted users can have written it. Raises `PolicyError`."""
        try:
            found = self._open(path, name)
        except OSError as error:
            raise PolicyError([_unreadable(path, error)]) from None
        if self._errors:
            raise PolicyError([*self._errors.values()])
        return found

    def _documents(self) -> Iterator[Document]:
        try:
            yield self._document(self._path)
        except FileNotFoundError:
            name = _name(self._path)
            raise UsageError(
                f"there is no policy at {name}: `dockerfw init -o {name}` "
                "writes a first one for what runs; or name another file with --config"
            ) from None
        except OSError as error:
            raise PolicyError([_unreadable(self._path, error)]) from None
        for path in self._drop_ins():
            document = self._drop_in(path)
            if document is not None:
                yield document

    def _drop_ins(self) -> list[Path]:
        """Return the files of the folder; an empty one is judged, too: it could hide a deny."""
        folder = self._path.parent / DROP_INS
        try:
            handle = open_folder(folder, partial(self._judge, _name(folder)))
        except FileNotFoundError:
            return []
        except OSError as error:
            self._error(_unreadable(folder, error))
            return []
        try:
            paths = [folder / name for name in os.listdir(handle)]  # noqa: PTH208 - of a descriptor
        finally:
            os.close(handle)
        return sorted(path for path in paths if path.match("[!.]*.toml"))

    def _drop_in(self, path: Path) -> Document | None:
        try:
            return self._document(path)
        except OSError as error:
            self._error(_unreadable(path, error))
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
        handle = open_file(path, partial(self._judge, name))
        try:
            return _read_all(handle)
        finally:
            os.close(handle)

    def _judge(self, name: str, met: Met) -> None:
        """Judge what was met on the way to a file: who can change it can replace that file."""
        if self._reader is not None and not self._reader.may_pass(met):
            self._hidden.add(name)
        problem = trust.problem(met, self._trusted, name)
        if problem is None:
            return
        refused = problem.by_everyone or self._for_kernel
        found = self._errors if refused else self._warnings
        found.setdefault(problem.text, Remark(f"{name}:1: {problem.text}", "file-mode"))

    def _error(self, finding: str) -> None:
        self._errors[finding] = finding


def with_document(text: PolicyText, document: Document) -> PolicyText:
    """Return the policy with this file of `DROP_INS` as it is given, where `collect` has it.

    Raises `PolicyError` for a policy that is wrong then.
    """
    main, *others = text.documents
    others = [other for other in others if other.name != document.name]
    documents = (main, *sorted((*others, document), key=lambda one: one.name))
    found = replace(text, documents=documents, _policy=None)
    return replace(found, _policy=found.parse())


def read_for_caller(path: Path) -> bytes:
    """Return one file that is no part of a policy, if the user who called sudo may read it.

    Raises OSError.
    """
    reader = trust.reader()
    if reader is None:
        return path.read_bytes()
    met: list[bool] = []
    handle = open_file(path, lambda found: met.append(reader.may_pass(found)))
    with os.fdopen(handle, "rb") as file:
        if not all(met):
            raise PermissionError(errno.EACCES, "you may not read it without sudo")
        return file.read()


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
    hint = ""
    if isinstance(error, PermissionError):
        # Root may read everything but what a sandbox hides, as systemd does for the units.
        root = (
            ": it is hidden from this process, a unit of systemd perhaps: move it to /etc/dockerfw"
        )
        hint = root if os.geteuid() == 0 else ": run it with sudo"
    return f"{_name(path)}:1: cannot read it: {error.strerror}{hint}"


def _name(path: Path) -> str:
    return trust.shown_path(str(path))


def _read_all(handle: int) -> bytes:
    """Return the whole file; of one that is too large one byte more than is allowed."""
    data = bytearray()
    while len(data) <= LARGEST and (chunk := os.read(handle, _READ)):
        data += chunk
    return bytes(data)
