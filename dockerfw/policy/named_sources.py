"""``[sources]``, and lists of sources with the names of it resolved.

Takes the tables of all documents, gives the sources of any ``from`` or of the baseline. Names may
stand for lists that hold other names; a circle becomes a finding, as does a source that its rule
cannot use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from dockerfw.model.policy import Source
from dockerfw.policy.addresses import looks_like_address
from dockerfw.policy.document import Findings, Node
from dockerfw.policy.source_lists import Found, Verdict, refuse_empty, refuse_unfit, together
from dockerfw.policy.sources import (
    SOURCE_WORDS,
    Entry,
    Excepted,
    ReadFile,
    Reference,
    SourceReader,
)
from dockerfw.policy.words import shown

_SOURCE_NAME = re.compile(r"\w[\w.-]*")


class NamedSources:
    """The named lists of all documents, and the reading of every ``from``."""

    def __init__(
        self, tables: Sequence[Node], read_file: ReadFile, findings: Findings, *, complete: bool
    ) -> None:
        """``complete``: all documents could be read, so that no definition is missing."""
        nodes = _collect(tables)
        self._reader = SourceReader(nodes if complete else None, read_file, findings)
        self._entries = {name: self._named(name, node) for name, node in nodes.items()}
        self._resolved = self._resolve()

    def read(self, node: Node, verdict: Verdict) -> tuple[Source, ...]:
        """Return the sources of a ``from`` or of the baseline, each once."""
        entries = _found(self._reader.read(node), self._resolved)
        for entry in entries:
            refuse_unfit(entry, verdict)
        sources = together(entries)
        refuse_empty(node, sources, verdict)
        return sources

    def lists(self) -> tuple[tuple[str, tuple[Source, ...]], ...]:
        """Return every named list with what it stands for."""
        return tuple(self._resolved.items())

    def _named(self, name: str, node: Node) -> list[Entry]:
        if problem := _wrong_name(name):
            node.error(problem)
        if node.value == []:
            node.error(f"source {shown(name)} is empty: write a source, or take it out")
        return self._reader.read(node)

    def _resolve(self) -> dict[str, tuple[Source, ...]]:
        graph = {
            name: {e.name: node for node, e in map(_plain, entries) if isinstance(e, Reference)}
            for name, entries in self._entries.items()
        }
        resolved: dict[str, tuple[Source, ...]] = {}
        for name in self._order(graph):
            resolved[name] = together(_found(self._entries.get(name, ()), resolved))
        return resolved

    def _order(self, graph: dict[str, dict[str, Node]]) -> list[str]:
        """Return every name after those that it holds; circles are reported and broken."""
        while circle := _circle(graph):
            node = graph[circle[0]].pop(circle[1])
            names = " > ".join(shown(name) for name in circle)
            node.error(f"sources hold each other in a circle: {names}")
        return list(TopologicalSorter(graph).static_order())


def _collect(tables: Sequence[Node]) -> dict[str, Node]:
    """Return what ``[sources]`` of all documents defines; a second definition is reported."""
    nodes: dict[str, Node] = {}
    for table in tables:
        section = table.get("sources")
        if section is None or not isinstance(section.value, dict):
            continue
        for name, node in section.items():
            if name in nodes:
                first = nodes[name].origin
                node.error(f"source {shown(name)} is defined already, at {first}: rename one")
            else:
                nodes[name] = node
    return nodes


def _found(entries: Iterable[Entry], resolved: Mapping[str, tuple[Source, ...]]) -> list[Found]:
    """Return what each entry of a list stands for."""
    return [
        Found(
            node,
            resolved.get(plain.name, ()) if isinstance(plain, Reference) else (plain,),
            taken_out=isinstance(entry, Excepted),
        )
        for node, entry in entries
        for _, plain in (_plain((node, entry)),)
    ]


def _plain(found: Entry) -> tuple[Node, Source | Reference]:
    node, entry = found
    return node, entry.of if isinstance(entry, Excepted) else entry


def _circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return names that hold one another, each the next, the first one again at the end.

    Nothing where no list holds itself in the end.
    """
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        predecessors_first: list[str] = error.args[1]
        return predecessors_first[::-1]
    return []


def _wrong_name(name: str) -> str | None:
    """Return what is wrong with the name of a source: it could be taken for another source."""
    if name.lower() in SOURCE_WORDS:
        return f"{shown(name)} has a meaning of its own and cannot name a source: choose another"
    if looks_like_address(name):
        return f"{shown(name)} looks like an address and cannot name a source: begin with a letter"
    if not _SOURCE_NAME.fullmatch(name):
        return f"{shown(name)} cannot name a source: use letters, digits, `_`, `.` and `-`"
    return None
