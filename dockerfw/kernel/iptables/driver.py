"""Reads and writes the iptables tables that dockerfw has chains in, of one family and flavour.

Knows no policy. Reading never creates a table: the nft flavour does not, and for the legacy one the
kernel is asked first which tables it has (``/proc/net/ip_tables_names`` of the current namespace).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

from dockerfw.errors import Failed
from dockerfw.kernel.iptables.parse import parse, parse_counters
from dockerfw.kernel.iptables.render import TRY_LABELS, render
from dockerfw.kernel.runner import Completed, NotInstalled, Runner, fail
from dockerfw.model.host import Flavour
from dockerfw.model.net import Family
from dockerfw.plan.state import TablesState
from dockerfw.plan.steps import WriteRules
from dockerfw.rules.rule import TABLES

RuleCounters: TypeAlias = Mapping[tuple[str, str], tuple[tuple[int, int], ...]]
"""(table, chain) -> (packets, bytes) of each rule, in the chain's order."""

_NAMES: Mapping[Family, str] = {
    4: "/proc/thread-self/net/ip_tables_names",
    6: "/proc/thread-self/net/ip6_tables_names",
}
_INCOMPATIBLE = re.compile(r"^# Table `([^']+)' is incompatible", re.MULTILINE)
_LOCK_SECONDS = "30"
_PYTHON_COMMITTER = str(Path(__file__).with_name("python_iptables.py"))
_NO_PYTHON_IPTABLES = 3


def read(
    runner: Runner, flavour: Flavour, family: Family, tables: Collection[str] = TABLES
) -> TablesState:
    """Return what stands in those tables, by one ``save``; a table that is not there is left out.

    Raises `Failed` if iptables cannot show one of them (rules written with ``nft``).
    """
    if flavour == "legacy" and not legacy_tables(runner, family) & set(tables):
        return TablesState(family, {})
    text = _save(runner, flavour, family)
    for name in _INCOMPATIBLE.findall(text):
        if name in tables:
            _refuse_incompatible(name, family)
    parsed = parse(text, tables)
    return TablesState(family, {name: parsed[name] for name in tables if name in parsed})


def commit(runner: Runner, flavour: Flavour, step: WriteRules) -> None:
    """Write a step by ``iptables-restore --noflush``: each table is one transaction.

    Waits up to 30 s for the lock. Raises `Failed`.
    """
    options = ("--noflush", "-w", _LOCK_SECONDS)
    _run(runner, flavour, step.family, "restore", options, stdin=render(step))


def commit_by_python_iptables(runner: Runner, flavour: Flavour, step: WriteRules) -> None:
    """As `commit`, by the python-iptables package, in a process of its own.

    It knows iptables-legacy only. Raises `Failed`.
    """
    if flavour != "legacy":
        raise Failed(
            'python-iptables cannot write iptables-nft: set committer = "iptables-restore"'
        )
    text = render(step)
    argv = [sys.executable, "-I", _PYTHON_COMMITTER, str(step.family)]
    done = runner.run(argv, stdin=text)
    if done.status == _NO_PYTHON_IPTABLES:
        raise Failed(
            f"{sys.executable} has no python-iptables: install it (apt install python3-iptables) "
            'or set committer = "iptables-restore"'
        )
    if done.status != 0:
        fail(["python-iptables"], done, text)


def counters(runner: Runner, flavour: Flavour, family: Family) -> RuleCounters:
    """Return packets and bytes of every rule in our tables, in the order of `read`."""
    if flavour == "legacy" and not legacy_tables(runner, family) & set(TABLES):
        return {}
    counted = parse_counters(_save(runner, flavour, family, "-c"))
    return {place: tuple(numbers) for place, numbers in counted.items() if place[0] in TABLES}


def legacy_tables(runner: Runner, family: Family) -> set[str]:
    """Return the legacy tables that this network namespace has; asking creates none."""
    return set((runner.read_file(_NAMES[family]) or "").split())


def knows_labels(runner: Runner, flavour: Flavour) -> bool:
    """Return False if this iptables cannot match the labels of connections. Writes nothing.

    Where the legacy tables are not there yet it is believed to: to ask would make them.
    """
    if flavour == "legacy" and "filter" not in legacy_tables(runner, 4):
        return True
    try:
        _run(runner, flavour, 4, "restore", ("--test", "--noflush"), stdin=TRY_LABELS)
    except Failed:
        return False
    return True


def default_flavour(runner: Runner) -> Flavour:
    """Return the flavour of the plain ``iptables`` program: the one that Docker uses."""
    return _flavour_of(runner.run(["iptables", "--version"]))


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
