"""Which statements may be about a container: found by what it is called, without asking each.

Pure. Takes the statements of a policy; gives indexes. Who is on it only may be meant: a selector
has more to it than the name by which it is found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dockerfw.model.inventory import Container
from dockerfw.model.net import Port
from dockerfw.model.policy import Allow, Deny, PublishedSpec, Selector, SelectorKind
from dockerfw.rules.targets import SPAN_OVER

_WITH_PATTERNS: tuple[SelectorKind, ...] = ("container", "compose", "image")


class StatementIndex:
    """The statements by the first thing that each of their selectors asks for."""

    def __init__(self, statements: Sequence[Allow | Deny]) -> None:
        self._always: list[int] = []
        self._named: dict[tuple[SelectorKind, str], list[int]] = {}
        self._beginning: dict[tuple[SelectorKind, str], list[int]] = {}
        self._lengths: dict[SelectorKind, set[int]] = {kind: set() for kind in _WITH_PATTERNS}
        self._published: dict[Port, list[int]] = {}
        for index, statement in enumerate(statements):
            self._add(index, statement)

    def _add(self, index: int, statement: Allow | Deny) -> None:
        wanted = [s for s in statement.to if not s.negated]
        ports = statement.published
        if wanted:
            for selector in wanted:
                self._add_selector(index, selector)
        elif ports and not statement.to and not any(map(_wide, ports)):
            for spec in ports:
                for number in range(spec.ports.first, spec.ports.last + 1):
                    held = self._published.setdefault(Port(spec.ports.protocol, number), [])
                    held.append(index)
        else:
            self._always.append(index)

    def _add_selector(self, index: int, selector: Selector) -> None:
        kind, name = selector.kind, selector.name
        if kind in _WITH_PATTERNS and "*" in name:
            beginning = name.partition("*")[0]
            self._lengths[kind].add(len(beginning))
            self._beginning.setdefault((kind, beginning), []).append(index)
        else:
            self._named.setdefault((kind, name), []).append(index)

    def about(
        self,
        containers: Iterable[Container],
        networks: Iterable[str],
        host_ports: Iterable[Port],
    ) -> list[int]:
        """Return, in order, all that may be about one of these containers, which are on these
        networks, or about one of these ports of the host.
        """
        found = set(self._always)
        for port in host_ports:
            found.update(self._published.get(port, ()))
        for name in networks:
            found.update(self._named.get(("network", name), ()))
        for container in containers:
            for kind, name in container.names():
                found.update(self._named.get((kind, name), ()))
                for length in self._lengths.get(kind, ()):
                    found.update(self._beginning.get((kind, name[:length]), ()))
        return sorted(found)


def _wide(spec: PublishedSpec) -> bool:
    return spec.ports.last - spec.ports.first >= SPAN_OVER
