"""Host ports that close, or are no longer guarded, in as few lines as can be.

Pure. A container may publish thousands of ports: those in a row are one line, and where rows are
many they are one line for the container.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from dockerfw.model.net import Address, Port
from dockerfw.report.change import Change
from dockerfw.report.labels import behind_text, host_port_text
from dockerfw.report.open_ports import Range

_MOST_LINES = 4
"""For the host ports of one container."""


@dataclass(frozen=True, slots=True)
class GuardedPort:
    """A host port; ``where`` None is every address of this host.

    ``behind`` are the containers that it leads to, each with its port.
    """

    where: Address | None
    port: Port
    behind: frozenset[tuple[str, int]]

    @property
    def order(self) -> tuple[object, ...]:
        where = (0, 0) if self.where is None else (self.where.version, int(self.where))
        return (where, self.port)


def guarded_ports(kind: Literal["guard", "release"], found: Iterable[GuardedPort]) -> list[Change]:
    """Return what happens to these ports, in the order of what they are called."""
    return sorted(_changes(kind, found), key=lambda change: change.target)


def _changes(kind: Literal["guard", "release"], found: Iterable[GuardedPort]) -> Iterator[Change]:
    groups: dict[object, list[GuardedPort]] = defaultdict(list)
    for one in sorted(found, key=lambda one: one.order):
        groups[one.where, frozenset(name for name, _ in one.behind)].append(one)
    for group in groups.values():
        rows = list(_rows(group))
        together = [[one for row in rows for one in row]] if len(rows) > _MOST_LINES else rows
        for ports in together:
            ranges = [_range(row) for row in _rows(ports)]
            behind = behind_text(pair for one in ports for pair in one.behind)
            where = ports[0].where
            yield Change(
                kind,
                host_port_text(where, ranges) + behind,
                tuple(ranges),
                place="host",
                address=where,
                containers=tuple(sorted({name for name, _ in ports[0].behind})),
            )


def _rows(group: Iterable[GuardedPort]) -> Iterator[list[GuardedPort]]:
    row: list[GuardedPort] = []
    for one in group:
        if row and one.port != Port(row[-1].port.protocol, row[-1].port.number + 1):
            yield row
            row = []
        row.append(one)
    yield row


def _range(row: list[GuardedPort]) -> Range:
    first, last = row[0].port, row[-1].port
    return Range(first.protocol, first.number, last.number)
