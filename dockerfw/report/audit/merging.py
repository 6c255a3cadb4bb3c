"""Rows of an audit that are one: neighbouring ports, all of an address, both families. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dockerfw.report.audit.row import Row
from dockerfw.report.open_ports import Ports, joined


def merged(rows: Iterable[Row]) -> list[Row]:
    """Return them with ports and families together that have the same answer."""
    return _families(_whole(_ranges(_without_same(list(rows)))))


def _without_same(rows: list[Row]) -> list[Row]:
    """Leave out a port at an address of this host where it is as at all the others."""

    def key(row: Row) -> tuple[object, ...]:
        return (row.families, row.ports, row.host_ports, *_answer(row))

    everywhere = {key(row) for row in rows if not row.at}
    return [row for row in rows if not row.at or key(row) not in everywhere]


def _answer(row: Row) -> tuple[object, ...]:
    return (row.containers, row.path, row.reach, row.who, row.enforced)


def _ranges(rows: list[Row]) -> list[Row]:
    """Put neighbouring ports together; of rules that name each port the first is shown."""
    found: list[Row] = []
    for row in sorted(
        rows, key=lambda r: (r.path, r.families, r.at, r.ports.others, r.ports.ranges)
    ):
        last = found[-1] if found else None
        joint = _joint(last, row) if last is not None else None
        if joint is not None:
            found[-1] = joint
        else:
            found.append(row)
    return found


def _joint(one: Row, two: Row) -> Row | None:
    same = (one.families, one.at, _answer(one)) == (two.families, two.at, _answer(two))
    if not same or one.ports.others or two.ports.others:
        return None
    (first,), (second,) = one.ports.ranges, two.ports.ranges
    inner = joined([first, second])
    if len(inner) > 1:
        return None
    outer = one.host_ports
    if one.host_ports is not None and two.host_ports is not None:
        host = joined([one.host_ports, two.host_ports])
        shift = first.first - one.host_ports.first == second.first - two.host_ports.first
        if len(host) > 1 or not shift:
            return None
        outer = host[0]
    return replace(one, ports=Ports(inner), host_ports=outer)


def _whole(rows: list[Row]) -> list[Row]:
    """Put all ports of an address together that have the same answer as those that nobody names."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        by = (row.at, row.families) if row.path in ("direct", "routed") else (id(row),)
        groups.setdefault(by, []).append(row)
    return [row for group in groups.values() for row in _of_address(group)]


def _of_address(rows: list[Row]) -> list[Row]:
    """Do that with the rows of one address: those that nobody names are all of a protocol."""
    others = [row for row in rows if row.ports.others]
    if not others:
        return rows
    same = {_answer(row) for row in others}
    found = [row for row in rows if not row.ports.others and _answer(row) not in same]
    apart = [one for row in rows if row in found for one in row.ports.ranges]
    if len(same) > 1 or len(others) < 2:
        found = [row for row in rows if not row.ports.others]
        return [*found, *others]
    return [*found, replace(others[0], ports=Ports(joined(apart), others=True))]


def _families(rows: list[Row]) -> list[Row]:
    """Put both families of a way together where all else is the same."""
    found: dict[tuple[object, ...], Row] = {}
    for row in rows:
        key = (row.ports, row.host_ports, row.at, *_answer(row))
        held = found.get(key)
        families = (
            row.families if held is None else tuple(dict.fromkeys(held.families + row.families))
        )
        found[key] = replace(held or row, families=families)
    return list(found.values())
