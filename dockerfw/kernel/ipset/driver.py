"""Reads and writes dockerfw's ipsets (those named as ``rules/names.py`` has it, no others).

Knows no policy. One ``ipset restore`` is *not* a transaction: what stands before a bad line may be
there or not.

Where the kernel can be asked itself (``ask``, see ``ask.py``), that is what is read; ``ipset`` is
started for a set with something unusual in it, and for all sets where the kernel does not answer.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias

from dockerfw.kernel.ipset import messages
from dockerfw.kernel.ipset.messages import Known, UnusualError
from dockerfw.kernel.ipset.parse import parse_count, parse_entry, parse_headers
from dockerfw.kernel.ipset.render import render
from dockerfw.kernel.runner import Runner, require
from dockerfw.plan.state import LiveElement, SetState
from dockerfw.plan.steps import WriteSets
from dockerfw.rules.ruleset import Element

SetCounters: TypeAlias = Mapping[str, Mapping[LiveElement, tuple[int, int]]]
"""Set name -> element -> (packets, bytes)."""
Ask: TypeAlias = Callable[[str | None], list[bytes]]
"""Gives the kernel's messages about a set, None: the headers of all. Raises OSError."""

# Starting another ``ipset save`` costs about as much as dumping this many entries.
_ENTRIES_A_PROCESS = 500


def read(
    runner: Runner,
    headers_only: Callable[[str, int], bool] | None = None,
    ask: Ask | None = None,
    known: dict[str, Known] | None = None,
    wanted: Mapping[str, frozenset[Element]] | None = None,
    *,
    headers_suffice: bool = False,
) -> dict[str, SetState]:
    """Return our sets as they stand, by name.

    ``known`` is what was read before, and has what is read now: of a set for which the kernel
    answers the same again nothing is taken apart, and with ``headers_suffice`` not even asked where
    its header is the same. Elements that are those of ``wanted`` come back as the same object, so
    that they are kept, and compared, once.

    ``headers_only(name, count)`` names the sets whose elements need not be read (those named
    after their content); they come back with ``elements`` None. Raises `Failed`, also when the
    kernel has no ip_set.
    """
    skip = headers_only or (lambda _name, _count: False)
    if ask is not None:
        with suppress(OSError, UnusualError):
            reader = _Reader(
                runner, ask, {} if known is None else known, wanted or {}, headers_suffice
            )
            return reader.read(skip)
    states, foreign_entries = parse_headers(require(runner, ["ipset", "list", "-t"]))
    to_read = {s.name for s in states.values() if not skip(s.name, s.count)}
    for name, lines in _dump(runner, states, to_read, foreign_entries).items():
        states[name] = _with_elements(states[name], _elements(lines, states[name].type))
    return states


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads by asking the kernel; the fields are arguments of `read`."""

    runner: Runner
    ask: Ask
    known: dict[str, Known]
    wanted: Mapping[str, frozenset[Element]]
    headers_suffice: bool

    def read(self, skip: Callable[[str, int], bool]) -> dict[str, SetState]:
        states: dict[str, SetState] = {}
        for header in self.ask(None):
            for name, state in messages.headers([header]).items():
                skipped = skip(name, state.count)
                states[name] = state if skipped else self._whole(state, header)
        for name in set(self.known) - states.keys():  # another thread may read at the same time
            self.known.pop(name, None)
        return states

    def _whole(self, state: SetState, header: bytes) -> SetState:
        before = self.known.get(state.name)
        if self.headers_suffice and before is not None and before.header == header:
            return _with_elements(state, before.elements)
        if not state.count:
            return _with_elements(state, frozenset())
        try:
            found = messages.elements(self.ask(state.name), state.type, before)
        except UnusualError:
            return _with_elements(state, _elements(_saved(self.runner, state.name), state.type))
        same = self.wanted.get(state.name)
        elements = same if same is not None and same == found.elements else found.elements
        self.known[state.name] = Known(found.digest, elements, header)
        return _with_elements(state, elements)


def _elements(lines: Iterable[str], kind: str) -> frozenset[LiveElement]:
    return frozenset([parse_entry(line, kind) for line in lines])


def _with_elements(state: SetState, elements: frozenset[LiveElement]) -> SetState:
    return replace(state, count=len(elements), elements=elements)


def counters(runner: Runner, names: Collection[str], ask: Ask | None = None) -> SetCounters:
    """Return the counters of the sets of ``names`` that exist."""
    if ask is not None:
        with suppress(OSError, UnusualError):
            held = messages.headers(ask(None))
            return {n: _asked_counters(runner, ask, held[n]) for n in names if n in held}
    states, foreign_entries = parse_headers(require(runner, ["ipset", "list", "-t"]))
    dumped = _dump(runner, states, set(names) & set(states), foreign_entries)
    return {name: _counters(lines, states[name].type) for name, lines in dumped.items()}


def _asked_counters(
    runner: Runner, ask: Ask, state: SetState
) -> Mapping[LiveElement, tuple[int, int]]:
    try:
        found = messages.counted(ask(state.name), state.type)
    except UnusualError:
        return _counters(_saved(runner, state.name), state.type)
    return dict(zip(found.elements, zip(found.packets, found.bytes, strict=True), strict=True))


def _counters(lines: Iterable[str], kind: str) -> Mapping[LiveElement, tuple[int, int]]:
    return {parse_entry(line, kind): parse_count(line) for line in lines}


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
        for name, line in _entries(text):
            if name in found:
                found[name].append(line)
    return found


def _saved(runner: Runner, name: str) -> Iterator[str]:
    return (line for _, line in _entries(require(runner, ["ipset", "save", name])))


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield the ``add`` lines, each with the name of its set."""
    for line in text.split("\n"):
        if line.startswith("add "):
            yield line[4 : line.index(" ", 4)], line


@cache
def _host_names_protocols() -> bool:
    try:
        return socket.getprotobyname("tcp") == socket.IPPROTO_TCP
    except OSError:
        return False
