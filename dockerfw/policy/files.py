"""The files of a policy: open them safely, keep a copy of the policy in force.

Takes the path of the policy or the folder of a copy, gives a `PolicyText`. Judges who may have
written a file; what is written there is for ``policy/parser.py``. Touches nothing but files, and
so asks
no DNS: a copy knows what names stood for when it was made.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from dockerfw.errors import Failed, PolicyError, UsageError
from dockerfw.model.policy import HostAddresses, Policy
from dockerfw.policy.document import Document, list_name
from dockerfw.policy.parser import parse
from dockerfw.policy.utf8 import LARGEST

DROP_INS = "conf.d"
_MANIFEST = "manifest.json"
_NAMES = "names.json"
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy as text: all that it takes to parse it again without the files.

    ``files`` holds the list files by the name that messages give them. ``warnings`` are about
    owners and modes when the files were read; what the text itself gives reason to warn of is in
    ``Policy.warnings``. ``names`` are the addresses of ``host:`` sources, as far as known; they
    move by themselves, so they do not make it another policy.
    """

    documents: tuple[Document, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    names: HostAddresses = field(default_factory=dict, compare=False)
    _policy: Policy | None = field(default=None, compare=False, repr=False)

    def parse(self) -> Policy:
        """The policy; raises `PolicyError`. After `collect` it costs nothing."""
        policy = self._policy or parse(self.documents, self._read)
        return policy.with_names(self.names)

    def _read(self, document: str, path: str) -> bytes:
        name = list_name(document, path)
        if name not in self.files:
            raise FileNotFoundError(0, "it is not among the files of this copy")
        return self.files[name]

    def save(self, folder: Path) -> None:
        """Make ``folder`` hold this policy: at every moment the old one or this one, whole.

        Raises `Failed` when it cannot be written; the old one stays then.
        """
        try:
            _save(self, folder)
        except OSError as error:
            raise Failed(
                f"cannot write the policy in force to {folder}: {error.strerror}"
            ) from error


# --- reading -------------------------------------------------------------------------------------


def collect(path: Path, *, for_kernel: bool) -> PolicyText:
    """Read the policy, what is in ``conf.d`` beside it, and the list files that they name.

    ``for_kernel``: refuse files that someone else could have written, where there are only
    warnings otherwise. Raises `UsageError` when there is no policy, `PolicyError` with every
    finding, those of the text included.
    """
    return _Collector(path, for_kernel=for_kernel).collect()


class _Collector:
    def __init__(self, path: Path, *, for_kernel: bool) -> None:
        self._path = path
        self._trusted = _trusted_users()
        self._for_kernel = for_kernel
        self._errors: list[str] = []
        self._warnings: dict[str, None] = {}
        self._folders: dict[str, Path] = {}
        self._lists: dict[str, bytes] = {}
        self._judged: set[Path] = set()

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
        """One file, of somebody who may be trusted. Raises `PolicyError`."""
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
        """The bytes of a regular file; who could have written it is judged on the way."""
        # A FIFO without a writer would make open() wait: O_NONBLOCK keeps it from that.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(0, "it is no regular file")
            self._judge(found, name, "this file", name)
            self._judge_folders(path, name)
            return _read_all(handle)
        finally:
            os.close(handle)

    def _judge_folders(self, path: Path, name: str) -> None:
        """Who can write to a folder can put another file in this one's place."""
        written, real = Path(os.path.abspath(path)), Path(os.path.realpath(path))  # noqa: PTH100
        for folder in dict.fromkeys((*written.parents, *real.parents)):
            if folder not in self._judged:
                self._judged.add(folder)
                self._judge(folder.stat(), name, f"its folder {_name(folder)}", _name(folder))

    def _judge(self, found: os.stat_result, name: str, what: str, path: str) -> None:
        if found.st_uid not in self._trusted:
            problem = f"belongs to user {found.st_uid}, who could change it: chown root {path}"
            self._doubt(f"{name}:1: {what} {problem}")
        if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
            return  # as in /tmp: nobody can replace the files of others
        if found.st_mode & stat.S_IWOTH:
            self._errors.append(f"{name}:1: {what} can be written by everyone: chmod o-w {path}")
        elif found.st_mode & stat.S_IWGRP:
            self._doubt(f"{name}:1: {what} can be written by its group: chmod g-w {path}")

    def _doubt(self, finding: str) -> None:
        if self._for_kernel:
            self._errors.append(finding)
        else:
            self._warnings[finding] = None


def reread(text: PolicyText) -> tuple[PolicyText, tuple[str, ...]]:
    """The policy with its list files as they are now, and why some stay as they were.

    A list that vanished, that others could have written or that is broken keeps what it held.
    """
    said: list[str] = []
    for name, held in text.files.items():
        collector = _Collector(Path(text.documents[0].name), for_kernel=True)
        try:
            found = collector.read(Path(name), name)
            if found != held:
                text = replace(text, files={**text.files, name: found}, _policy=None)
                text = replace(text, _policy=text.parse())
        except PolicyError as error:
            text = replace(text, files={**text.files, name: held}, _policy=None)
            said.append(f"{error.findings[0]}; what it held before still counts")
    return text, tuple(said)


def _unreadable(path: Path, error: OSError) -> str:
    hint = ": run it with sudo" if isinstance(error, PermissionError) else ""
    return f"{_name(path)}:1: cannot read it: {error.strerror}{hint}"


def _trusted_users() -> frozenset[int]:
    """Root, the caller, and the user that sudo was called by."""
    sudo = os.environ.get("SUDO_UID", "")
    users = {0, os.getuid()}
    return frozenset(users | {int(sudo)} if sudo.isascii() and sudo.isdigit() else users)


def _name(path: Path) -> str:
    """A path for messages: file names are bytes, and those need not be text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read_all(handle: int) -> bytes:
    """The whole file; of one that is too large a byte more than is allowed."""
    data = bytearray()
    while len(data) <= LARGEST and (chunk := os.read(handle, _READ)):
        data += chunk
    return bytes(data)


# --- the copy ------------------------------------------------------------------------------------
#
# A folder of files named by the SHA-256 of what they hold, and a manifest that says which of them
# make up the policy. A new manifest replaces the old one in one rename, after all that it names is
# on the disk; files of the manifest before are kept for readers that hold it still. What names
# stand for is in a file of its own: it changes without the policy, and can be looked up again.


def load(folder: Path) -> PolicyText:
    """The copy that `PolicyText.save` wrote; raises `Failed` when it is broken or missing."""
    try:
        manifest = _read_manifest(folder)
        documents = tuple(
            Document(one["name"], _blob(folder, one["sha256"])) for one in manifest["documents"]
        )
        files = {one["name"]: _blob(folder, one["sha256"]) for one in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failed(
            f"the copy of the policy in force in {folder} is broken ({_reason(error)}): "
            "run dockerfw apply to replace it"
        ) from error
    return PolicyText(documents, files, names=_load_names(folder))


def save_names(folder: Path, names: HostAddresses) -> None:
    """Keep what the names of this copy stand for now. Raises OSError."""
    text = {name: [str(address) for address in found] for name, found in sorted(names.items())}
    replace_file(folder / _NAMES, json.dumps(text, indent=1).encode() + b"\n")


def _load_names(folder: Path) -> HostAddresses:
    """Nothing where they cannot be read: they are looked up again anyway."""
    try:
        found = json.loads((folder / _NAMES).read_text("utf-8"))
        return {name: tuple(map(ip_address, texts)) for name, texts in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{Path(error.filename or _MANIFEST).name}: {error.strerror}"
    return str(error) if type(error) is ValueError else f"{_MANIFEST} is not readable"


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / _MANIFEST).read_text("utf-8"))
    checksum = manifest.pop("checksum")
    if checksum != _checksum(manifest):
        raise ValueError(f"{_MANIFEST} does not match its checksum")
    found: dict[str, Any] = manifest
    return found


def _checksum(manifest: Mapping[str, object]) -> str:
    return _sha256(json.dumps(manifest, sort_keys=True).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blob(folder: Path, checksum: str) -> bytes:
    data = (folder / checksum).read_bytes()
    if _sha256(data) != checksum:
        raise ValueError(f"{checksum[:12]} does not match its checksum")
    return data


def _save(text: PolicyText, folder: Path) -> None:
    if folder.exists():
        _save_into(text, folder)
        return
    # The folder appears with all that belongs in it.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
        new = Path(temporary) / folder.name
        new.mkdir(mode=0o700)
        _save_into(text, new)
        new.rename(folder)
    _sync(folder.parent)


def _save_into(text: PolicyText, folder: Path) -> None:
    before = _named_by_manifest(folder)
    blobs = {_sha256(data): data for data in _contents(text)}
    for checksum, data in blobs.items():
        replace_file(folder / checksum, data)
    _sync(folder)
    if text.names:
        save_names(folder, text.names)
    replace_file(folder / _MANIFEST, _manifest(text))
    _sync(folder)
    kept = {_MANIFEST, *blobs, *before, *([_NAMES] if text.names else ())}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()


def _contents(text: PolicyText) -> Iterator[bytes]:
    yield from (document.text for document in text.documents)
    yield from text.files.values()


def _manifest(text: PolicyText) -> bytes:
    manifest: dict[str, object] = {
        "schema": 1,
        "documents": [{"name": d.name, "sha256": _sha256(d.text)} for d in text.documents],
        "files": [{"name": n, "sha256": _sha256(data)} for n, data in sorted(text.files.items())],
    }
    return json.dumps({**manifest, "checksum": _checksum(manifest)}, indent=1).encode() + b"\n"


def _named_by_manifest(folder: Path) -> frozenset[str]:
    try:
        manifest = _read_manifest(folder)
        return frozenset(one["sha256"] for one in (*manifest["documents"], *manifest["files"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return frozenset()


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file whole; on the disk when this returns. Raises OSError: the old one stays."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
