"""The layers as rules: which folder may import which, and what stands in one place alone.

`broken_rules` returns a sentence with file and line for each rule that a module breaks. The tables
are the whole of it: a new folder, or a library that nobody used before, is a new line here. A place
is a file, or the beginning of its path.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests import references

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
    "__main__": frozenset({"cli"}),
    "clock": frozenset[str](),
    "errors": frozenset({"exit_status"}),
    "exit_status": frozenset[str](),
    "text": frozenset[str](),
    "wakeup": frozenset[str](),
}
PURE = frozenset({"model", "policy", "rules", "plan", "report"})
READ_FILES = ("policy/files.py", "policy/path_walk.py", "policy/trust.py")
"""Of the pure rooms, what touches the disk; the rest of ``policy/`` does not import it."""
TWINS = ("kernel/iptables/", "kernel/ipset/", "kernel/nft/")
"""None of them imports another one."""

NOTHING_TOUCHED = frozenset(
    {"__future__", "bisect", "collections", "contextlib", "dataclasses", "datetime", "difflib"}
    | {"base64", "enum", "fnmatch", "functools", "graphlib", "hashlib", "html", "ipaddress"}
    | {"itertools", "json", "math", "re", "textwrap", "tomli", "tomllib", "types", "typing"}
)
"""Libraries for everybody: clocks of ``datetime`` are ruled out below."""
PURE_PARTS = frozenset(
    {"pathlib.PurePosixPath", "socket.AF_INET", "socket.AF_INET6", "socket.inet_ntop"}
    | {"socket.inet_pton", "sys.version_info"}
)
"""What touches nothing, of libraries that do."""
EDGES = ("kernel/", "docker/", "dns/", "state/", "operations/", "daemon/", "cli/")
LIBRARIES: dict[str, tuple[str, ...]] = {
    # a library that is not for everybody: who may import it. What is not listed nobody may.
    "array": ("kernel/netlink.py",),
    "click": ("cli/",),
    "ctypes": ("kernel/inotify.py", "kernel/outside.py", "daemon/memory.py"),
    "dns": ("dns/",),
    "docker": ("docker/remote.py",),
    "errno": (*EDGES, *READ_FILES),
    "fcntl": ("kernel/iptables/python_iptables.py", "state/locks.py"),
    "gc": ("cli/app.py", "daemon/main.py", "daemon/memory.py"),
    "http": ("docker/connection.py", "docker/event_stream.py"),
    "importlib": ("cli/app.py", "docker/remote.py", "kernel/iptables/python_iptables.py"),
    "os": (*EDGES, *READ_FILES),
    "pathlib": (*EDGES, *READ_FILES),
    "pkgutil": ("cli/app.py",),
    "prometheus_client": ("daemon/metrics.py",),
    "pwd": ("policy/trust.py",),
    "queue": EDGES,
    "requests": ("docker/remote.py",),
    "select": EDGES,
    "selectors": EDGES,
    "shlex": EDGES,
    "shutil": EDGES,
    "signal": EDGES,
    "socket": (*EDGES, "wakeup.py"),
    "socketserver": ("daemon/metrics.py",),
    "stat": (*EDGES, *READ_FILES),
    "struct": EDGES,
    "subprocess": ("kernel/runner.py",),
    "sys": EDGES,
    "tempfile": EDGES,
    "threading": (*EDGES, "wakeup.py"),
    "time": ("clock.py", "kernel/iptables/python_iptables.py"),
    "urllib": EDGES,
}
HELD_APART: dict[str, tuple[str, ...]] = {
    # what may be used nowhere else, as a regular expression of whole dotted names. With a reason
    # where a place is no entry point, nor the one place that the rule is about.
    # Processes: none but by subprocess, see above.
    r"os\.(system|popen|fork|forkpty|posix_spawn|exec|spawn|startfile|pidfd_open).*": (),
    # Docker's API, called or handed on. Errors and utilities open nothing.
    r"docker\.(?!errors\b|utils\b).+\(\)": ("docker/remote.py",),
    r"http\.client\.(HTTP|HTTPS)Connection.*\(\)": ("docker/connection.py",),
    # Of unix sockets the daemon opens two more: systemd's and the journal's.
    r"socket\.AF_UNIX": ("docker/connection.py", "daemon/systemd.py"),
    # Clocks. (python_iptables.py is a program of its own: it may import time.)
    r"dockerfw\.clock\.SystemClock(\..*)?": ("cli/", "daemon/main.py"),
    r"datetime\.(datetime|date)\.(now|today|utcnow)": (),
    r"os\.times": (),
    # Code that is found by a name in a text: the commands, which are the files of a folder; and
    # python-iptables and paramiko, which may not be there.
    r"importlib\..*": LIBRARIES["importlib"],
    r"builtins\.(__import__|eval|exec|compile|globals|locals|vars)(\..*)?": (),
    r"builtins\.getattr|sys\.modules(\..*)?|.+\.__(dict|getattribute|builtins)__(\..*)?": (),
    # Files are opened by pathlib and os; the terminal belongs to the command line.
    r"builtins\.(open|input|print|breakpoint)": ("kernel/iptables/python_iptables.py",),
}
OUR_NAMES = re.compile(
    r"DOCKERFW(?!_)|dockerfw[-{%]|(\b(inet|bridge|table)|\{\}) dockerfw\b|\Adockerfw\Z"
)
"""Names of chains, sets and tables anywhere in a text, and what such a name is put together from.
``DOCKERFW_`` begins names of variables of the environment and of the journal's fields."""
PROGRAM = "dockerfw"
PROGRAM_NAMED = ("cli/app.py", "cli/commands/install_units.py", "daemon/log.py")
"""Where this text is what the program is called: in its help, on the disk, and in the journal."""
NAME_OWNER = "rules/names.py"
FOR_PEOPLE = {
    "tool": ("cli/plan_output.py",),
    # In plans, in the log, in a failure and in the status.
    "why": (
        *("cli/plan_output.py", "daemon/drift.py", "operations/reconcile.py"),
        "operations/status.py",
    ),
    # In the kernel, and for a spoofed source in the words of ``explain``. A rule that takes the
    # place of another says the same.
    "comment": ("kernel/iptables/render.py", "report/explain/reasons.py", "rules/chains.py"),
}
"""Attributes of steps and rules that are words: who shows them. What kind a step is of, its type
tells, and of rules ``role`` does."""


@dataclass(frozen=True, slots=True)
class Module:
    """``name``: ``rules/names.py``."""

    name: str
    tree: ast.Module

    @property
    def room(self) -> str | None:
        """None: beside the rooms."""
        parts = self.name.split("/")
        return parts[0] if len(parts) > 1 else None

    @property
    def pure(self) -> bool:
        return self.room in PURE and self.name not in READ_FILES


def broken_rules(module: Module) -> list[str]:
    """Return a sentence for each rule that the module breaks."""
    return [
        f"{module.name}:{line} {what}"
        for rule in (_layers, _twins, _disk, _libraries, _borrowed, _held_apart, _words, _names)
        for what, line in rule(module)
    ]


def _layers(module: Module) -> Iterator[tuple[str, int]]:
    allowed = {*FOUNDATION, *([module.room, *ROOMS[module.room]] if module.room else [])}
    if module.room is None:
        allowed = set(FOUNDATION[module.name.removesuffix(".py")])
    for name, line in references.imports(module.tree):
        if name.startswith(".") or name.endswith(".*") or name == "dockerfw":
            yield f"imports {name}: name the module and what is used of it", line
    for name, line in _referred(module):
        room = [*name.removesuffix("()").split("."), ""][1]
        if name.startswith("dockerfw.") and room not in allowed | {"__version__"}:
            yield f"imports {name}", line


def _twins(module: Module) -> Iterator[tuple[str, int]]:
    own = next((twin for twin in TWINS if module.name.startswith(twin)), None)
    for name, line in _referred(module):
        of = next((twin for twin in TWINS if _path(name).startswith(twin)), own)
        if own is not None and of != own:
            yield f"imports {name}, another twin", line


def _disk(module: Module) -> Iterator[tuple[str, int]]:
    files = tuple(name.removesuffix(".py") for name in READ_FILES)
    for name, line in _referred(module):
        if module.room == "policy" and module.pure and f"{_path(name)}".startswith(files):
            yield f"imports {name}, which reads files", line


def _libraries(module: Module) -> Iterator[tuple[str, int]]:
    for name, line in references.imports(module.tree):
        top = name.split(".", maxsplit=1)[0]
        if top in NOTHING_TOUCHED or top in {"dockerfw", ""}:
            continue
        if not module.name.startswith(LIBRARIES.get(top, ())) and not _pure_part(module, name):
            yield f"imports {name}", line


def _pure_part(module: Module, name: str) -> bool:
    """Return True if all that is used of a library that touches something touches nothing."""
    uses = (use.removesuffix("()") for use, _ in references.uses(module.tree))
    used = {use for use in uses if use.startswith(f"{name}.")}
    return name in PURE_PARTS or (bool(used) and used <= PURE_PARTS)


def _held_apart(module: Module) -> Iterator[tuple[str, int]]:
    for name, line in _referred(module):
        for what, places in HELD_APART.items():
            if re.fullmatch(what, name) and not module.name.startswith(places):
                yield f"uses {name}", line


def _borrowed(module: Module) -> Iterator[tuple[str, int]]:
    for name, line in _referred(module):
        top = name.split(".", maxsplit=1)[0]
        known = top in LIBRARIES or top in NOTHING_TOUCHED or top == "dockerfw"
        if known and references.is_borrowed(name, LIBRARIES):
            yield f"has {name} from a module that has it from elsewhere", line


def _words(module: Module) -> Iterator[tuple[str, int]]:
    for word, line in references.attributes(module.tree):
        if word in FOR_PEOPLE and not module.name.startswith(FOR_PEOPLE[word]):
            yield f"reads .{word}, which is a word for people", line


def _names(module: Module) -> Iterator[tuple[str, int]]:
    if module.name != NAME_OWNER:
        for text, line in references.literals(module.tree):
            named = text == PROGRAM and module.name in PROGRAM_NAMED
            if OUR_NAMES.search(text) and not named:
                yield f"spells a name of ours: {text!r}", line


@cache
def _referred(module: Module) -> tuple[tuple[str, int], ...]:
    return (*references.imports(module.tree), *references.uses(module.tree))


def _path(name: str) -> str:
    """``dockerfw.kernel.nft.render.x`` -> ``kernel/nft/render/x``."""
    return name.removeprefix("dockerfw.").replace(".", "/") + "/"
