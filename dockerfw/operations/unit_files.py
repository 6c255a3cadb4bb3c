"""The units of systemd on a host where no package brings them: laid, brought up to date, taken out.

Takes the folders of a host, what this installation ships and the path of its program. Writes whole
files, each with a digest of itself in its first line, by which one that somebody has edited since
is told from one that may be replaced. Enables, starts and reloads nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, TypeAlias

from dockerfw.errors import Failed
from dockerfw.policy import trust
from dockerfw.policy.path_walk import Met, open_file
from dockerfw.state.durable import replace_file

Done: TypeAlias = Literal["wrote", "replaced", "unchanged", "removed"]

_FIRST = "# By install-units ({}): change a unit by `systemctl edit`, not here.\n"
_MARK = re.compile(_FIRST.replace("(", r"\(").replace(")", r"\)").format("([0-9a-f]{16})"))
_PROGRAM = "/usr/bin/dockerfw"
_DOCS = "doc/dockerfw"
_PAGE = "man/man1/dockerfw.1"
_UNIT = "dockerfw.service"
# Of a path whatever means nothing to systemd or to a shell.
_PLAIN = re.compile(r"[\w./+@-]+", re.ASCII)
# What the sandbox of the units hides from them (ProtectHome, PrivateTmp).
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - names, none is written
_WAITS = "AssertPathExists=/run/dockerfw/booted"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where things are on a host: those of the admin, those of packages, and systemd's own."""

    units: Path = Path("/etc/systemd/system")
    modules: Path = Path("/etc/modules-load.d")
    packaged: tuple[Path, ...] = (Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))
    running: Path = Path("/run/systemd/system")


@dataclass(frozen=True, slots=True)
class Installation:
    """What was installed: the program, its Python, and the folders ``shipped`` and ``share``."""

    program: Path
    python: Path
    shipped: Path
    share: Path


@dataclass(frozen=True, slots=True)
class Laid:
    """A file, and what was done with it."""

    path: Path
    done: Done


def refuse_packaged(folders: Folders) -> None:
    """Raise `Failed` where a package brings the units: they are the package's to change."""
    for packaged in folders.packaged:
        if (packaged / _UNIT).exists():
            raise Failed(
                f"a package brings the units of this host ({packaged / _UNIT}): nothing was changed"
            )


def lay(folders: Folders, installation: Installation) -> list[Laid]:
    """Write every unit that is not there as it should be; return all of them, in order.

    Raises `Failed`, before anything is written, where no unit would start, or not safely, and where
    a file is not ours to replace; and when a file cannot be written.
    """
    if not folders.running.is_dir():
        raise Failed("systemd does not run here, so no unit would start: nothing was written")
    for path in (installation.program, installation.python):
        _refuse_hidden(path)
        _refuse_untrusted(path)
    wanted = _wanted(folders, installation)
    _refuse_edited(wanted)
    return [_lay(path, text) for path, text in wanted.items()]


def take_out(folders: Folders, installation: Installation) -> list[Laid]:
    """Delete the files that `lay` wrote; return those that were there.

    Raises `Failed`, before anything is deleted, while one is enabled, while Docker waits for them,
    and where somebody has edited one.
    """
    wanted = _wanted(folders, installation)
    enabled = sorted(_enabled(folders, wanted))
    if enabled:
        raise Failed(
            f"{' and '.join(enabled)} would start still: "
            f"`systemctl disable --now {' '.join(enabled)}` first, then `dockerfw remove`"
        )
    for path in sorted(folders.units.glob("docker.service.d/*.conf")):
        if _WAITS in _text(path).splitlines():
            raise Failed(f"with {path} Docker does not start without the units: take it out first")
    _refuse_edited(wanted)
    found = [path for path in wanted if path.exists()]
    try:
        for path in found:
            path.unlink()
    except OSError as error:
        raise Failed(f"{error.filename} cannot be removed: {error.strerror}") from None
    return [Laid(path, "removed") for path in found]


def services(laid: list[Laid]) -> list[str]:
    """Return the services among these files that are there to be enabled."""
    return [f.path.name for f in laid if f.path.suffix == ".service" and "@" not in f.path.name]


def _wanted(folders: Folders, installation: Installation) -> dict[Path, str]:
    """Return the whole text of each file, by its path."""
    to = (("systemd", folders.units), ("modules-load.d", folders.modules))
    return {
        folder / source.name: _marked(_fitted(source.read_text(encoding="utf-8"), installation))
        for name, folder in to
        for source in sorted((installation.shipped / name).iterdir())
        if source.is_file()
    }


def _fitted(text: str, installation: Installation) -> str:
    """Return a unit that starts the program of this installation, and leads to its documents."""
    text = text.replace(_PROGRAM, str(installation.program))
    docs, page = installation.share / _DOCS, installation.share / _PAGE
    if docs.is_dir():
        text = text.replace(f"/usr/share/{_DOCS}", str(docs))
    # Where man does not look by itself it takes a path.
    return text.replace("man:dockerfw(1)", f"man:{page}") if page.is_file() else text


def _marked(text: str) -> str:
    return _FIRST.format(sha256(text.encode()).hexdigest()[:16]) + text


def _refuse_hidden(path: Path) -> None:
    if any(path.is_relative_to(folder) for folder in _HIDDEN):
        raise Failed(
            f"the units see neither /home nor /root nor /tmp, and {path} is there: install "
            "dockerfw in /opt (docs/install.md has the lines for pipx and uv), then try again"
        )
    if not _PLAIN.fullmatch(str(path)):
        raise Failed(f"{path} cannot stand in a unit: install dockerfw in another folder")


def _refuse_untrusted(path: Path) -> None:
    """Root will run this: it must not be for others to write."""
    trusted = trust.trusted_users()
    met: list[Met] = []
    try:
        handle = open_file(path, met.append)
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from None
    os.close(handle)
    for one in met:
        problem = trust.problem(one, trusted, str(path))
        if problem is not None:
            raise Failed(f"the units would run {path} as root, but {problem.text}")


def _refuse_edited(wanted: dict[Path, str]) -> None:
    edited = [str(path) for path in wanted if not _is_ours(path)]
    if edited:
        raise Failed(
            f"{' and '.join(edited)}: not by this command, or edited since; nothing was changed. "
            "Move it away (what you want to keep goes into `systemctl edit`), then try again"
        )


def _is_ours(path: Path) -> bool:
    """Return True for a file that is missing, or as it was written here."""
    if path.is_symlink():
        return False
    text = _text(path)
    mark = _MARK.match(text)
    return not path.exists() or (mark is not None and _marked(text[mark.end() :]) == text)


def _text(path: Path) -> str:
    """Return what is in a file; nothing where it is missing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from None


def _lay(path: Path, text: str) -> Laid:
    before = _text(path)
    if before == text:
        return Laid(path, "unchanged")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode(), mode=0o644)
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}") from None
    return Laid(path, "replaced" if before else "wrote")


def _enabled(folders: Folders, wanted: dict[Path, str]) -> Iterator[str]:
    """Yield the units of ours that something starts, instances of templates included."""
    ours = {path.name for path in wanted}
    for link in folders.units.glob("*.wants/*"):
        if re.sub(r"@[^.]*", "@", link.name) in ours or link.name in ours:
            yield link.name
