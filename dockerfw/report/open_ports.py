"""Ports of one address, grouped by the statements that are about them; ports as text.

Pure: arithmetic of port ranges.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dockerfw.text import port_text


class Range(NamedTuple):
    """Ports of one protocol; ``protocol`` None is every port of every protocol."""

    protocol: str | None
    first: int = 0
    last: int = 65535

    @property
    def several(self) -> bool:
        return self.first != self.last

    def __str__(self) -> str:
        return port_text(self.protocol, self.first, self.last)


EVERY_PORT = Range(None)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports in ``ranges``, or (``others``) all but these."""

    ranges: tuple[Range, ...]
    others: bool = False

    def __bool__(self) -> bool:
        return bool(self.ranges) or self.others

    def holds(self, protocol: str, number: int) -> bool:
        listed = any(
            r.protocol in (protocol, None) and r.first <= number <= r.last for r in self.ranges
        )
        return listed != self.others


NO_PORTS = Ports(())


@dataclass(frozen=True, slots=True)
class Partition:
    """All ports of one address, as parts that the same statements are about.

    ``parts`` have these statements; ``rest`` those of all ports that are in no part.
    """

    parts: tuple[tuple[Range, frozenset[int]], ...]
    rest: frozenset[int]


def partition(ranges: Mapping[int, Iterable[Range]]) -> Partition:
    """Return the parts of all ports, by the ranges that each statement is about."""
    everything = {index for index, held in ranges.items() if EVERY_PORT in held}
    begins: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    ends: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, held in ranges.items():
        for protocol, first, last in joined(held):
            if protocol is not None:
                begins[protocol][first].append(index)
                ends[protocol][last + 1].append(index)
    parts = [
        (found, frozenset(everything | about))
        for protocol in sorted(begins)
        for found, about in _swept(protocol, begins[protocol], ends[protocol])
    ]
    return Partition(tuple(parts), frozenset(everything))


def _swept(
    protocol: str, begins: Mapping[int, list[int]], ends: Mapping[int, list[int]]
) -> Iterator[tuple[Range, set[int]]]:
    active: Counter[int] = Counter()
    points = sorted({*begins, *ends})
    for number, point in enumerate(points):
        active.subtract(ends.get(point, ()))
        active.update(begins.get(point, ()))
        about = {index for index, count in active.items() if count}
        if about:
            yield Range(protocol, point, points[number + 1] - 1), about


def joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the ranges in order, those that touch or overlap as one."""
    found: list[Range] = []
    for one in sorted(ranges, key=lambda r: (r.protocol or "", r.first, r.last)):
        if found and one.protocol == found[-1].protocol and one.first <= found[-1].last + 1:
            found[-1] = found[-1]._replace(last=max(found[-1].last, one.last))
        else:
            found.append(one)
    return tuple(found)
