"""Exact sets of addresses: what the oracle answers with, and what tests compare. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dockerfw.model.net import Address, IPNetwork


@dataclass(frozen=True, slots=True)
class IntervalSet:
    """Sorted, disjoint, not touching ``(first, last)`` pairs of addresses as integers."""

    intervals: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> IntervalSet:
        merged: list[tuple[int, int]] = []
        for first, last in sorted(pairs):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    @classmethod
    def of_networks(cls, networks: Iterable[IPNetwork], family: int) -> IntervalSet:
        """Those of one family."""
        return cls.of(
            (int(n.network_address), int(n.broadcast_address))
            for n in networks
            if n.version == family
        )

    @classmethod
    def of_addresses(cls, addresses: Iterable[Address], family: int) -> IntervalSet:
        return cls.of((int(a), int(a)) for a in addresses if a.version == family)

    @classmethod
    def everything(cls, family: int) -> IntervalSet:
        return cls(((0, 2**32 - 1 if family == 4 else 2**128 - 1),))

    def __or__(self, other: IntervalSet) -> IntervalSet:
        return IntervalSet.of(self.intervals + other.intervals)

    def __sub__(self, other: IntervalSet) -> IntervalSet:
        left: list[tuple[int, int]] = []
        for first, last in self.intervals:
            start = first
            for cut_first, cut_last in other.intervals:
                if cut_last < start or cut_first > last:
                    continue
                if cut_first > start:
                    left.append((start, cut_first - 1))
                start = cut_last + 1
            if start <= last:
                left.append((start, last))
        return IntervalSet(tuple(left))

    def __and__(self, other: IntervalSet) -> IntervalSet:
        return self - (self - other)

    def __contains__(self, address: Address | int) -> bool:
        number = int(address)
        return any(first <= number <= last for first, last in self.intervals)


NOTHING = IntervalSet()
