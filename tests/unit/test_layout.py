"""Where files are and how long they may be: the tests mirror the package, 500 lines a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.paths import PACKAGE, REPOSITORY

MOST_LINES = 500
CODE = ("dockerfw", "tests", "script", "benchmarks")
MIRRORS = ("tests/unit", "tests/edges")


def test_tests_mirror_the_package() -> None:
    stray = [str(path) for path in _without_module()]
    assert not stray, "\n".join(stray)


def test_no_file_is_too_long() -> None:
    lengths = {path: len((REPOSITORY / path).read_text().splitlines()) for path in _code()}
    too_long = [f"{path}: {lines}" for path, lines in lengths.items() if lines > MOST_LINES]
    assert not too_long, "\n".join(too_long)


def test_tests_of_the_daemon_patch_nothing() -> None:
    files = [path for mirror in MIRRORS for path in (REPOSITORY / mirror / "daemon").glob("*.py")]
    assert len(files) > 10
    assert [path for path in files if "monkeypatch" in path.read_text(encoding="utf-8")] == []


def _without_module() -> Iterator[Path]:
    """Tests whose folder is no room of the package, or whose name begins with no module of it.

    Those at the top are about several rooms, or about the repository.
    """
    for mirror in MIRRORS:
        for path in sorted((REPOSITORY / mirror).rglob("test_*.py")):
            room = path.parent.relative_to(REPOSITORY / mirror)
            if room != Path() and not _has_module(PACKAGE / room, path.stem.removeprefix("test_")):
                yield path.relative_to(REPOSITORY)


def _has_module(room: Path, name: str) -> bool:
    """``name`` is that of a module or folder of this room, or begins with one and ``_``."""
    modules = [path.stem for path in room.glob("*") if path.suffix == ".py" or path.is_dir()]
    return any(name == module or name.startswith(f"{module}_") for module in modules)


def _code() -> Iterator[Path]:
    """All modules, and the scripts, whose names have no ending."""
    for folder in CODE:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix == ".py" or (folder == "script" and path.is_file() and not path.suffix):
                yield path.relative_to(REPOSITORY)
