"""``[sources]``, and lists of sources with the names of it resolved.

Takes the tables of all documents, gives the sources of any ``from`` or of the baseline. Names may
stand for lists that hold other names; a circle becomes a finding, as does a source that its rule
cannot use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from dockerfw.model.policy import FileSource, HostSource, Source
from dockerfw.policy.addresses import looks_like_address
from dockerfw.policy.document import Findings, Node
from dockerfw.policy.sources import SOURCE_WORDS, Entry, ReadFile, Reference, SourceReader
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

    def read(self, node: Node, verdict: Literal["allow", "deny"]) -> tuple[Source, ...]:
        """Return the sources of a ``from`` or of the baseline, each once."""
        found: dict[object, Source] = {}
        for element, entry in self._reader.read(node):
            sources = _sources(entry, self._resolved)
            _refuse_unfit(element, sources, verdict)
            found.update((_identity(source), source) for source in sources)
        return tuple(found.values())

    def _named(self, name: str, node: Node) -> list[Entry]:
        if problem := _wrong_name(name):
            node.error(problem)
        if node.value == []:
            node.error(f"source {shown(name)} is empty: write a source, or take it out")
        return self._reader.read(node)

    def _resolve(self) -> dict[str, tuple[Source, ...]]:
        graph = {
            name: {e.name: node for node, e in entries if isinstance(e, Reference)}
            for name, entries in self._entries.items()
        }
        resolved: dict[str, tuple[Source, ...]] = {}
        for name in self._order(graph):
            found: dict[object, Source] = {}
            for _, entry in self._entries.get(name, ()):
                found.update((_identity(s), s) for s in _sources(entry, resolved))
            resolved[name] = tuple(found.values())
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


def _sources(
    entry: Source | Reference, resolved: Mapping[str, tuple[Source, ...]]
) -> tuple[Source, ...]:
    """Return what an entry of a list stands for."""
    return resolved.get(entry.name, ()) if isinstance(entry, Reference) else (entry,)


def _refuse_unfit(node: Node, sources: Iterable[Source], verdict: Literal["allow", "deny"]) -> None:
    """Report the sources that would make a deny deny nobody, or an allow open nothing."""
    for source in sources:
        if isinstance(source, HostSource) and verdict == "deny":
            node.error(
                f"{shown(str(source))}: a name may fail or change, and this deny would deny "
                "nobody: write addresses or `file:`"
            )
        if not isinstance(source, FileSource) or source.networks:
            continue
        if verdict == "deny":
            node.error(f"{shown(str(source))} is empty, so this deny would deny nobody")
        else:
            node.warning(f"{shown(str(source))} is empty, so it opens nothing")


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


def _identity(source: Source) -> object:
    # A list is read once, so it is one object; hashing its networks would take long.
    return id(source) if isinstance(source, FileSource) else source


def _wrong_name(name: str) -> str | None:
    """Return what is wrong with the name of a source: it could be taken for another source."""
    if name.lower() in SOURCE_WORDS:
        return f"{shown(name)} has a meaning of its own and cannot name a source: choose another"
    if looks_like_address(name):
        return f"{shown(name)} looks like an address and cannot name a source: begin with a letter"
    if not _SOURCE_NAME.fullmatch(name):
        return f"{shown(name)} cannot name a source: use letters, digits, `_`, `.` and `-`"
    return None
