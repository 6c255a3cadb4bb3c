"""Where files are and how long they may be: the tests mirror the package, 500 lines a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.paths import PACKAGE, REPOSITORY

MOST_LINES = 500
CODE = ("dockerfw", "tests", "script", "benchmarks")
MIRRORS = ("tests/unit", "tests/edges")
PATCHED = {
    # where a test puts something of its own in the place of code, and why that is not passed in
    "tests/conftest.py": "programs that would touch the firewall of this machine are refused",
    "tests/edges/dns/conftest.py": "the system's resolver: nothing may leave this machine",
    "tests/edges/dns/test_lookup.py": "the system's resolver",
    "tests/edges/docker/test_connection.py": "docker-py, a missing package, a refusing socket",
    "tests/edges/docker/test_engine.py": "the release of the kernel, which is one for all",
    "tests/edges/kernel/test_inotify.py": "what happens between two calls of the kernel",
    "tests/packets/test_ipset.py": "a C library without names of protocols",
    "tests/packets/test_netlink.py": "kernels that were built without nf_tables",
    "tests/unit/cli/commands/test_apply.py": "the terminal",
    "tests/unit/cli/commands/test_check.py": "who runs the program",
    "tests/unit/cli/commands/test_plan.py": "who runs the program",
    "tests/unit/cli/terminal.py": "the arguments of the program",
    "tests/unit/cli/test_app.py": "who runs the program, and commands that fail in every way",
    "tests/unit/cli/test_output.py": "the terminal",
    "tests/unit/kernel/ipset/conftest.py": "a C library that has or has not names of protocols",
    "tests/unit/kernel/ipset/test_driver.py": "the same",
    "tests/unit/operations/test_host_names.py": "the network: that nobody asks anything of it",
    "tests/unit/rules/test_ledger.py": "a set is full at 64 instead of 65,536 elements",
    "tests/unit/state/test_policy_copy.py": "the disk: what is written before what",
}


def test_tests_mirror_the_package() -> None:
    stray = [str(path) for path in _without_module()]
    assert not stray, "\n".join(stray)


def test_no_file_is_too_long() -> None:
    lengths = {path: len((REPOSITORY / path).read_text().splitlines()) for path in _code()}
    too_long = [f"{path}: {lines}" for path, lines in lengths.items() if lines > MOST_LINES]
    assert not too_long, "\n".join(too_long)


def test_what_is_patched_is_listed_with_its_reason() -> None:
    found = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "tests").rglob("*.py")
        if any(map(_patches, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == set(PATCHED)


def test_tests_of_the_daemon_patch_nothing() -> None:
    assert [path for path in PATCHED if "/daemon/" in path] == []


def _patches(node: ast.AST) -> bool:
    """Return True for ``monkeypatch.setattr`` and its like, whatever the fixture is called.

    Variables of the environment and the working directory are what a program is given: no patches.
    """
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any("mock" in name.name for name in node.names) or (
            isinstance(node, ast.ImportFrom) and "mock" in (node.module or "")
        )
    return isinstance(node, ast.Attribute) and node.attr in (
        "setattr", "delattr", "setitem", "delitem", "syspath_prepend",
    )  # fmt: skip


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
