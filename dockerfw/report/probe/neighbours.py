"""Tries that read as one row: all sources and families of a port, and neighbouring ports. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace

from dockerfw.report.audit.way import Way
from dockerfw.report.open_ports import Ports, joined
from dockerfw.report.probe.result import Row


@dataclass(slots=True)
class Group:
    """Tries by one way, or by neighbouring ports of one, of which the same came.

    ``found`` are the words for that, ``apart`` what else tells the way from others.
    """

    way: Way
    found: tuple[str, ...]
    apart: Hashable
    whom: dict[str, None] = field(default_factory=dict)
    families: set[int] = field(default_factory=set)


def together(rows: Iterable[tuple[Row, tuple[str, ...], Hashable]]) -> list[Group]:
    """Return the groups in the order of their first rows; each row comes with ``found`` and
    ``apart`` of its group.
    """
    return _neighbours(_alike(rows))


def _alike(rows: Iterable[tuple[Row, tuple[str, ...], Hashable]]) -> Iterable[Group]:
    groups: dict[Hashable, Group] = {}
    for row, found, apart in rows:
        way = row.tried.way
        key = (way.container.id, way.path, way.ports, way.host_ports, found, apart)
        group = groups.setdefault(key, Group(way, found, apart))
        group.whom[row.tried.whom] = None
        group.families.add(way.family)
    return groups.values()


def _neighbours(groups: Iterable[Group]) -> list[Group]:
    last: dict[Hashable, Group] = {}
    found: list[Group] = []
    for group in groups:
        who = (frozenset(group.whom), frozenset(group.families))
        key = (group.way.container.id, group.way.path, group.found, group.apart, *who)
        both = _joint(last[key].way, group.way) if key in last else None
        if both is not None:
            last[key].way = both
        else:
            last[key] = group
            found.append(group)
    return found


def _joint(one: Way, two: Way) -> Way | None:
    """Return a way by the ports of both, if they are neighbours in the container and outside."""
    if one.ports.others or two.ports.others or not (one.ports.ranges and two.ports.ranges):
        return None
    inner = joined([one.ports.ranges[0], two.ports.ranges[0]])
    host = joined([way.host_ports for way in (one, two) if way.host_ports is not None])
    if len(inner) > 1 or len(host) > 1 or (one.host_ports is None) != (two.host_ports is None):
        return None
    if host and host[0].last - host[0].first != inner[0].last - inner[0].first:
        return None
    return replace(one, ports=Ports(inner), host_ports=host[0] if host else None)
