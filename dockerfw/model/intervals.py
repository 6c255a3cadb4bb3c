"""Sets of addresses as intervals of numbers: what one holds and another does not; to networks.

Pure. An interval is of one family, which its numbers do not tell; whoever has them knows it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from itertools import islice
from typing import TypeAlias

from dockerfw.model.net import FAMILIES, Family, IPNetwork, family_of

Interval: TypeAlias = tuple[int, int]
"""First and last address, as numbers."""
WHOLE: dict[Family, Interval] = {4: (0, 2**32 - 1), 6: (0, 2**128 - 1)}
"""All addresses of a family."""


class Intervals:
    """Addresses of one family. ``all`` are their intervals in order; no two overlap or touch."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self.all: list[Interval] = []
        for first, last in sorted(intervals):
            if self.all and first <= self.all[-1][1] + 1:
                self.all[-1] = (self.all[-1][0], max(self.all[-1][1], last))
            else:
                self.all.append((first, last))
        self._firsts = [first for first, _ in self.all]

    def holds(self, interval: Interval) -> bool:
        """Return True if every address of this interval is in here."""
        at = bisect_right(self._firsts, interval[0]) - 1
        return at >= 0 and interval[1] <= self.all[at][1]

    def begins_in(self, interval: Interval) -> bool:
        """Return True if the first address of one of our intervals is in this one."""
        at = bisect_left(self._firsts, interval[0])
        return at < len(self._firsts) and self._firsts[at] <= interval[1]

    def meets(self, interval: Interval) -> bool:
        """Return True if any address of this interval is in here."""
        return any(True for _ in self._overlapping(*interval))

    def without(self, other: Intervals) -> Intervals:
        """Return the addresses that are in here and not in ``other``."""
        return Intervals(self._without(other))

    def _without(self, other: Intervals) -> Iterator[Interval]:
        for first, last in self.all:
            start = first
            for cut_first, cut_last in other._overlapping(first, last):
                if start < cut_first:
                    yield start, cut_first - 1
                start = max(start, cut_last + 1)
            if start <= last:
                yield start, last

    def _overlapping(self, first: int, last: int) -> Iterator[Interval]:
        """Those of our intervals that have an address from ``first`` to ``last``, in order."""
        at = max(0, bisect_right(self._firsts, first) - 1)
        while at < len(self.all) and self.all[at][0] <= last:
            if self.all[at][1] >= first:
                yield self.all[at]
            at += 1

    def networks(self, family: Family) -> Iterator[IPNetwork]:
        """Yield the fewest networks that hold these addresses, in order."""
        for first, last in self.all:
            if family == 4:
                yield from summarize_address_range(IPv4Address(first), IPv4Address(last))
            else:
                yield from summarize_address_range(IPv6Address(first), IPv6Address(last))


def interval_of(network: IPNetwork) -> Interval:
    first = int(network.network_address)
    return first, first | ((1 << (network.max_prefixlen - network.prefixlen)) - 1)


def less(networks: Iterable[IPNetwork], taken_out: Collection[IPNetwork]) -> tuple[IPNetwork, ...]:
    """Return the networks without the addresses of others: those that hold none stay as they are,
    the rest become as few as can be.
    """
    out = {family: _of_family(taken_out, family) for family in FAMILIES}
    left: list[IPNetwork] = []
    for network in networks:
        family = family_of(network)
        interval = interval_of(network)
        if out[family].meets(interval):
            left += Intervals([interval]).without(out[family]).networks(family)
        else:
            left.append(network)
    return tuple(left)


def _of_family(networks: Iterable[IPNetwork], family: Family) -> Intervals:
    return Intervals(interval_of(n) for n in networks if n.version == family)


def shortest(
    mine: Intervals, known: Intervals, refused: Intervals, family: Family
) -> tuple[set[IPNetwork], set[IPNetwork]]:
    """Return the addresses of ``mine`` that are in neither other one, in as few networks as can be.

    That is either exactly these addresses and no exceptions, or, where it takes fewer networks,
    whole intervals of ``mine`` and, as the exceptions, what of those is in ``known``.
    """
    rest = mine.without(known).without(refused)
    touched = Intervals(interval for interval in mine.all if rest.begins_in(interval))
    roughly = set(touched.networks(family))
    if rest.all == touched.all:
        return roughly, set()
    exactly = set(islice(rest.networks(family), len(roughly) + 1))
    if len(exactly) <= len(roughly):
        return exactly, set()
    kept = touched.without(touched.without(known))
    return roughly, set(kept.networks(family))
