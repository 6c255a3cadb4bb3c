"""Reads and writes dockerfw's ipsets (those named as ``rules/names.py`` has it, no others).

Knows no policy. One ``ipset restore`` is *not* a transaction: what stands before a bad line may be
there or not.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import TypeAlias

from dockerfw.kernel.ipset.parse import parse_count, parse_entry, parse_headers
from dockerfw.kernel.ipset.render import render
from dockerfw.kernel.runner import Runner, require
from dockerfw.plan.state import LiveElement, SetState
from dockerfw.plan.steps import WriteSets

SetCounters: TypeAlias = Mapping[str, Mapping[LiveElement, tuple[int, int]]]
"""Set name -> element -> (packets, bytes)."""

# Starting another ``ipset save`` costs about as much as dumping this many entries.
_ENTRIES_A_PROCESS = 500


def read(
    runner: Runner, headers_only: Callable[[str, int], bool] | None = None
) -> dict[str, SetState]:
    """Return our sets as they stand, by name.

    ``headers_only(name, count)`` names the sets whose elements need not be read (those named
    after their content); they come back with ``elements`` None. Raises `Failed`, also when the
    kernel has no ip_set.
    """
    states, foreign_entries = parse_headers(require(runner, ["ipset", "list", "-t"]))
    skip = headers_only or (lambda _name, _count: False)
    wanted = {s.name for s in states.values() if not skip(s.name, s.count)}
    for name, lines in _dump(runner, states, wanted, foreign_entries).items():
        kind = states[name].type
        elements = frozenset([parse_entry(line, kind) for line in lines])
        states[name] = replace(states[name], count=len(elements), elements=elements)
    return states


def counters(runner: Runner, names: Collection[str]) -> SetCounters:
    """Return the counters of the sets of ``names`` that exist."""
    states, foreign_entries = parse_headers(require(runner, ["ipset", "list", "-t"]))
    result: dict[str, dict[LiveElement, tuple[int, int]]] = {}
    for name, lines in _dump(runner, states, set(names) & set(states), foreign_entries).items():
        kind = states[name].type
        result[name] = {parse_entry(line, kind): parse_count(line) for line in lines}
    return result


def commit(runner: Runner, step: WriteSets, now: float) -> None:
    """Write a step by one ``ipset restore -exist``; ``now`` is Unix time, for ends.

    Raises `Failed` with the bad line.
    """
    text = render(step, now, by_number=not _host_names_protocols())
    require(runner, ["ipset", "restore", "-exist"], text, timeout=300)


def _dump(
    runner: Runner, states: Mapping[str, SetState], names: Collection[str], foreign_entries: int
) -> dict[str, list[str]]:
    """The ``add`` lines of the sets ``names``, by the cheaper of two ways.

    One ``ipset save`` dumps every set of the host, unwanted entries too; one each costs a
    process each.
    """
    filled = sorted(name for name in names if states[name].count)
    others = foreign_entries + sum(s.count for s in states.values() if s.name not in filled)
    texts: Iterator[str] = (require(runner, ["ipset", "save", name]) for name in filled)
    if len(filled) > 1 and others <= _ENTRIES_A_PROCESS * (len(filled) - 1):
        texts = iter([require(runner, ["ipset", "save"])])
    found: dict[str, list[str]] = {name: [] for name in names}
    for text in texts:
        for line in text.split("\n"):
            if line.startswith("add "):
                name = line[4 : line.index(" ", 4)]
                if name in found:
                    found[name].append(line)
    return found


@cache
def _host_names_protocols() -> bool:
    try:
        return socket.getprotobyname("tcp") == socket.IPPROTO_TCP
    except OSError:
        return False
