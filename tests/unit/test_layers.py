"""The layers: which folder may import which, and what stands in one place alone.

A rule that is broken names the file and the line. The tables below are the whole of it: a new
folder is a new line here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.paths import PACKAGE

ROOMS: dict[str, frozenset[str]] = {
    # room: those that it may import, besides itself and the modules beside the rooms
    "model": frozenset(),
    "policy": frozenset({"model"}),
    "rules": frozenset({"model"}),
    "plan": frozenset({"model", "rules"}),
    "report": frozenset({"model", "policy", "rules", "plan"}),
    "kernel": frozenset({"model", "rules", "plan"}),
    "docker": frozenset({"model"}),
    "dns": frozenset({"model"}),
    "state": frozenset({"model", "policy", "plan"}),
    "operations": frozenset(
        {"model", "policy", "rules", "plan", "report", "kernel", "docker", "dns", "state"}
    ),
    "daemon": frozenset(
        {"model", "policy", "rules", "plan", "report", "kernel", "docker", "dns", "state"}
        | {"operations"}
    ),
    "cli": frozenset(
        {"model", "policy", "rules", "plan", "report", "kernel", "docker", "dns", "state"}
        | {"operations", "daemon"}
    ),
}
FOUNDATION = {
    # modules beside the rooms, each with those of them that it may import
    "__init__": frozenset[str](),
    "__main__": frozenset[str](),
    "clock": frozenset[str](),
    "errors": frozenset({"exit_status"}),
    "exit_status": frozenset[str](),
    "text": frozenset[str](),
    "wakeup": frozenset[str](),
}
PURE = frozenset({"model", "policy", "rules", "plan", "report"})
READ_FILES = ("policy/files.py", "policy/path_walk.py", "policy/trust.py")
INPUT_AND_OUTPUT = frozenset(
    {"fcntl", "os", "pathlib", "select", "selectors", "shutil", "signal", "socket", "subprocess"}
    | {"tempfile", "threading", "time", "urllib"}
)
PURE_PARTS = frozenset(
    {"pathlib.PurePosixPath", "socket.AF_INET", "socket.AF_INET6", "socket.inet_ntop"}
    | {"socket.inet_pton"}
)
"""Of these modules, what touches nothing."""
ALONE: dict[str, tuple[str, ...]] = {
    # what: where it may stand. A program that runs by its own path (python_iptables) has its own.
    "subprocess": ("kernel/runner.py",),
    "click": ("cli/",),
    "prometheus_client": ("daemon/metrics.py",),
    "dns": ("dns/",),
}
CALLED_ALONE: dict[str, str] = {
    # what opens Docker's socket: where it may be called
    "APIClient": "docker/connection.py",
    "HTTPConnection": "docker/connection.py",
}
CLOCKS = frozenset(
    {"time.time", "time.monotonic", "time.sleep", "datetime.now", "datetime.utcnow"}
    | {"time.time_ns", "time.monotonic_ns", "time.perf_counter", "date.today"}
)
READ_CLOCKS = ("clock.py", "kernel/iptables/python_iptables.py")
OUR_NAMES = ("dockerfw-", "DOCKERFW")
NAME_OWNER = "rules/names.py"


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@dataclass(frozen=True, slots=True)
class Module:
    path: Path

    @property
    def name(self) -> str:
        """``rules/names.py``."""
        return self.path.relative_to(PACKAGE).as_posix()

    @property
    def room(self) -> str | None:
        """None: beside the rooms."""
        parts = self.path.relative_to(PACKAGE).parts
        return parts[0] if len(parts) > 1 else None

    def tree(self) -> ast.Module:
        return _tree(self.path)

    def imports(self) -> Iterator[tuple[str, int]]:
        """Dotted names with their lines; ``from a import b`` is ``a.b``."""
        for node in ast.walk(self.tree()):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}:{node.lineno}: a relative import"
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)

    def own_imports(self) -> Iterator[tuple[list[str], int]]:
        for name, line in self.imports():
            if name.startswith("dockerfw."):
                yield name.split(".")[1:], line


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]


def test_every_folder_and_every_module_beside_them_is_listed() -> None:
    assert {m.room for m in MODULES if m.room} == set(ROOMS)
    assert {m.path.stem for m in MODULES if not m.room} == set(FOUNDATION)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_imports_go_down_only(module: Module) -> None:
    if module.name == "__main__.py":
        return
    allowed = {*FOUNDATION, *([module.room, *ROOMS[module.room]] if module.room else [])}
    if module.room is None:
        allowed = {"__version__", *FOUNDATION[module.path.stem]}
    wrong = [
        f"{module.name}:{line} imports {'.'.join(target)}"
        for target, line in module.own_imports()
        if target[0] not in allowed | {"__version__"}
    ]
    assert not wrong


def test_no_two_rooms_import_each_other() -> None:
    for room, below in ROOMS.items():
        for other in below:
            assert room not in ROOMS[other], f"{room} and {other}"


@pytest.mark.parametrize("module", [m for m in MODULES if m.room in PURE], ids=lambda m: m.name)
def test_pure_rooms_touch_nothing(module: Module) -> None:
    wrong = [
        f"{module.name}:{line} imports {name}"
        for name, line in module.imports()
        if name.split(".")[0] in INPUT_AND_OUTPUT and name not in PURE_PARTS
    ]
    assert not wrong or module.name in READ_FILES


@pytest.mark.parametrize("what", ALONE)
def test_it_stands_in_one_place_alone(what: str) -> None:
    found = {
        module.name
        for module in MODULES
        for name, _ in module.imports()
        if name == what or name.startswith(f"{what}.")
    }
    outside = {name for name in found if not name.startswith(ALONE[what])}
    assert not outside
    assert found, f"nobody imports {what}: the rule holds nothing"


@pytest.mark.parametrize("what", CALLED_ALONE)
def test_it_is_called_in_one_place_alone(what: str) -> None:
    callers = {
        module.name
        for module in MODULES
        for node in ast.walk(module.tree())
        if isinstance(node, ast.Call | ast.ClassDef)
        for name in (node.bases if isinstance(node, ast.ClassDef) else [node.func])
        if ast.unparse(name).split(".")[-1] == what
    }
    assert callers == {CALLED_ALONE[what]}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_clocks_are_passed_in(module: Module) -> None:
    used = [
        f"{module.name}:{node.lineno} uses {ast.unparse(node)}"
        for node in ast.walk(module.tree())
        if isinstance(node, ast.Attribute) and ast.unparse(node) in CLOCKS
    ]
    used += [
        f"{module.name}:{line} imports {name}" for name, line in module.imports() if name in CLOCKS
    ]
    assert not used or module.name in READ_CLOCKS


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_names_of_chains_and_sets_have_one_owner(module: Module) -> None:
    tree = module.tree()
    documentation = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    wrong = [
        f"{module.name}:{node.lineno}: {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node not in documentation
        and node.value.startswith(OUR_NAMES)
        and not node.value.startswith("DOCKERFW_")  # the environment, the journal's fields
    ]
    assert not wrong or module.name == NAME_OWNER
