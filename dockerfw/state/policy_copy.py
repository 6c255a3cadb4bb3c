"""A copy of a policy in a folder: what is in force stays so, whatever becomes of the user's files.

Takes and gives `PolicyText`. The documents and list files are named by the SHA-256 of what they
hold, and a manifest says which of them make up the policy::

    manifest.json  names and checksums, with a checksum of its own
    names.json     the addresses of ``host:`` sources: they change without the policy
    lans.json      the networks of ``lan:`` sources, likewise
    SHA-256        one document or list file each

Never reads the files that the user edits, and asks no DNS.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar

from dockerfw.errors import Failed
from dockerfw.model.policy import HostAddresses, LanNetworks
from dockerfw.policy.document import Document
from dockerfw.policy.files import PolicyText
from dockerfw.state.durable import replace_file, sync_folder

_MANIFEST = "manifest.json"
_NAMES = "names.json"
_LANS = "lans.json"

_T = TypeVar("_T")


def load(folder: Path) -> PolicyText:
    """Return the policy that `save` wrote. Raises `Failed` when it is broken or missing."""
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
    return PolicyText(
        documents,
        files,
        names=_load_moving(folder / _NAMES, ip_address),
        lans=_load_moving(folder / _LANS, ip_network),
    )


def save(text: PolicyText, folder: Path) -> None:
    """Make ``folder`` hold this policy: at every moment the old one or this one, whole.

    Raises `Failed` when it cannot be written; the old one stays then.
    """
    try:
        _save(text, folder)
    except OSError as error:
        raise Failed(f"cannot write the policy in force to {folder}: {error.strerror}") from error


def save_names(folder: Path, names: HostAddresses) -> None:
    """Keep the addresses that the names of this policy have now. Raises OSError."""
    _save_moving(folder / _NAMES, names)


def save_lans(folder: Path, lans: LanNetworks) -> None:
    """Keep the networks that the interfaces of this policy have now. Raises OSError."""
    _save_moving(folder / _LANS, lans)


def _save_moving(path: Path, moving: Mapping[str, Sequence[object]]) -> None:
    text = {name: [str(one) for one in found] for name, found in sorted(moving.items())}
    replace_file(path, json.dumps(text, indent=1).encode() + b"\n")


def _load_moving(path: Path, read: Callable[[str], _T]) -> dict[str, tuple[_T, ...]]:
    """Return nothing where they cannot be read: they are asked for again anyway."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return {name: tuple(map(read, texts)) for name, texts in found.items()}
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


def link(folder: Path, to: Path) -> None:
    """Make ``to`` another copy of what `save` wrote to ``folder``. Raises OSError.

    It takes no room as long as both hold the same: files are replaced, and never written to.
    """
    shutil.copytree(folder, to, copy_function=os.link)


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
    sync_folder(folder.parent)


def _save_into(text: PolicyText, folder: Path) -> None:
    before = _named_by_manifest(folder)
    blobs = {_sha256(data): data for data in _contents(text)}
    for checksum, data in blobs.items():
        if not _holds(folder / checksum, data):
            replace_file(folder / checksum, data)
    sync_folder(folder)
    if text.names:
        save_names(folder, text.names)
    if text.lans:
        save_lans(folder, text.lans)
    replace_file(folder / _MANIFEST, _manifest(text))
    sync_folder(folder)
    kept = {_MANIFEST, *blobs, *before, *([_NAMES] if text.names else ())}
    kept |= {_LANS} if text.lans else set()
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()


def _holds(path: Path, data: bytes) -> bool:
    """Return True if nothing has to be written: another copy may share this file."""
    try:
        return path.read_bytes() == data
    except OSError:
        return False


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
