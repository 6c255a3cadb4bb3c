"""Reads and writes the iptables tables that dockerfw has chains in, of one family and flavour.

Takes and gives the text of ``iptables-save`` and ``iptables-restore``; knows no policy. Reading
never creates a table: the nft flavour does not, and for the legacy one the kernel is asked first
which tables it has (``/proc/net/ip_tables_names`` of the current namespace).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from dockerfw.errors import Failed
from dockerfw.kernel.runner import Completed, NotInstalled, Runner, fail
from dockerfw.model.host import Flavour
from dockerfw.model.net import Family
from dockerfw.plan.state import ChainState, TablesState

OUR_TABLES = ("filter", "mangle")

Counters: TypeAlias = Mapping[tuple[str, str], tuple[tuple[int, int], ...]]
"""(table, chain) -> (packets, bytes) of each rule, in the chain's order."""

_NAMES: Mapping[Family, str] = {
    4: "/proc/thread-self/net/ip_tables_names",
    6: "/proc/thread-self/net/ip6_tables_names",
}
_INCOMPATIBLE = re.compile(r"^# Table `([^']+)' is incompatible", re.MULTILINE)
_COUNTED = re.compile(r"^\[(\d+):(\d+)\] -A (\S+)")
_LOCK_SECONDS = "30"
_PYTHON_COMMITTER = str(Path(__file__).with_name("python_iptables.py"))
_NO_PYTHON_IPTABLES = 3


def read(
    runner: Runner, flavour: Flavour, family: Family, tables: Collection[str] = OUR_TABLES
) -> TablesState:
    """What stands in those tables now, with one ``save``; a table that is not there is left out.

    Raises `Failed` when iptables cannot show one of them (rules written with ``nft``).
    """
    if flavour == "legacy" and not legacy_tables(runner, family) & set(tables):
        return TablesState(family, {})
    text = _save(runner, flavour, family)
    for name in _INCOMPATIBLE.findall(text):
        if name in tables:
            _refuse_incompatible(name, family)
    parsed = parse(text)
    return TablesState(family, {name: parsed[name] for name in tables if name in parsed})


def commit(runner: Runner, flavour: Flavour, family: Family, text: str) -> None:
    """Hand ``text`` (blocks of ``*table`` … ``COMMIT``) to ``iptables-restore --noflush``.

    Each table is one transaction. A chain that ``text`` declares (``:NAME - [0:0]``) is
    replaced, all others stay. Waits up to 30 s for the lock. Raises `Failed`.
    """
    options = ("--noflush", "-w", _LOCK_SECONDS)
    _run(runner, flavour, family, "restore", options, stdin=text)


def commit_by_python_iptables(runner: Runner, flavour: Flavour, family: Family, text: str) -> None:
    """As `commit`, by the python-iptables package, in a process of its own.

    It knows iptables-legacy only. Raises `Failed`.
    """
    if flavour != "legacy":
        raise Failed(
            'python-iptables cannot write iptables-nft: set committer = "iptables-restore"'
        )
    done = runner.run([sys.executable, "-I", _PYTHON_COMMITTER, str(family)], stdin=text)
    if done.status == _NO_PYTHON_IPTABLES:
        raise Failed(
            f"{sys.executable} has no python-iptables: install it (apt install python3-iptables) "
            'or set committer = "iptables-restore"'
        )
    if done.status != 0:
        fail(["python-iptables"], done, text)


def counters(runner: Runner, flavour: Flavour, family: Family) -> Counters:
    """Packets and bytes of every rule in our tables, in the order of `read`."""
    if flavour == "legacy" and not legacy_tables(runner, family) & set(OUR_TABLES):
        return {}
    counted: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for table, line in _table_lines(_save(runner, flavour, family, "-c")):
        if table in OUR_TABLES and (rule := _COUNTED.match(line)):
            numbers = (int(rule.group(1)), int(rule.group(2)))
            counted.setdefault((table, rule.group(3)), []).append(numbers)
    return {place: tuple(numbers) for place, numbers in counted.items()}


def legacy_tables(runner: Runner, family: Family) -> set[str]:
    """The legacy tables that this network namespace has; asking creates none."""
    return set((runner.read_file(_NAMES[family]) or "").split())


def default_flavour(runner: Runner) -> Flavour:
    """The flavour of the plain ``iptables`` program: the one that Docker takes."""
    return _flavour_of(runner.run(["iptables", "--version"]))


def parse(text: str) -> dict[str, dict[str, ChainState]]:
    """The output of ``iptables-save`` as table -> chain -> `ChainState`, without counters."""
    policies: dict[str, dict[str, str]] = {}
    rules: dict[tuple[str, str], list[str]] = {}
    for table, line in _table_lines(text):
        if line.startswith(":"):
            name, policy = line[1:].split(" ", 2)[:2]
            policies.setdefault(table, {})[name] = policy
        elif line.startswith("-A "):
            name, _, rule = line[3:].partition(" ")
            rules.setdefault((table, name), []).append(rule)
    return {
        table: {
            name: ChainState(policy, tuple(rules.get((table, name), ())))
            for name, policy in chains.items()
        }
        for table, chains in policies.items()
    }


def _table_lines(text: str) -> Iterator[tuple[str, str]]:
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line and not line.startswith("#") and line != "COMMIT":
            yield table, line


def _save(runner: Runner, flavour: Flavour, family: Family, *options: str) -> str:
    return _run(runner, flavour, family, "save", options).stdout


def _run(
    runner: Runner,
    flavour: Flavour,
    family: Family,
    verb: str,
    options: Collection[str],
    stdin: str | None = None,
) -> Completed:
    base = "iptables" if family == 4 else "ip6tables"
    argv = [f"{base}-{flavour}-{verb}", *options]
    try:
        done = runner.run(argv, stdin)
    except NotInstalled:
        # Old and small systems have one flavour only, under the plain name.
        plain = f"{base}-{verb}"
        if _flavour_of(runner.run([base, "--version"])) != flavour:
            raise
        argv = [plain, *options]
        done = runner.run(argv, stdin)
    if done.status != 0:
        fail(argv, done, stdin)
    return done


def _flavour_of(version: Completed) -> Flavour:
    return "nft" if "nf_tables" in version.stdout else "legacy"


def _refuse_incompatible(table: str, family: Family) -> None:
    kind = "ip" if family == 4 else "ip6"
    raise Failed(
        f"table {table} of {kind}tables holds rules that were written with nft and that iptables "
        f"cannot show, so nobody can say what they let pass: move them to a table of their own "
        f"(see them with: nft list table {kind} {table})"
    )
