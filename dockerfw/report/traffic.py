"""Counters of set elements -> packets and bytes by container port, allowed and denied.

Pure. Takes counters that others read, with the ruleset and the inventory. Never reads the kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Family, Port
from dockerfw.plan.state import LiveElement, OddElement
from dockerfw.report.labels import Labels, host_port_text
from dockerfw.report.open_ports import EVERY_PORT, Range
from dockerfw.rules.meaning import (
    BucketMeaning,
    Destination,
    read_bucket,
    read_guarded,
    read_network,
    rules_by_set,
)
from dockerfw.rules.names import is_topic
from dockerfw.rules.ruleset import Element, IPSet, Ruleset
from dockerfw.text import iso_moment, port_text

Counters: TypeAlias = Mapping[str, Mapping[LiveElement, tuple[int, int]]]
"""Set name -> element -> (packets, bytes)."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets to one target.

    ``container`` is what people call it (several that share a network: ``a + b``), an address
    that no container has now, or empty when a host port leads to none. ``port`` is the
    container's, empty for all. ``host_port`` is the host port that the packets were sent to,
    empty when they came to the container's own address. ``until`` is when the last rule that
    opens it ends by itself (Unix time); None: never.
    """

    container: str
    port: str
    host_port: str
    packets: int
    bytes: int
    until: int | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "container": self.container,
            "port": self.port,
            "host_port": self.host_port,
            "packets": self.packets,
            "bytes": self.bytes,
            **({} if self.until is None else {"until": iso_moment(self.until)}),
        }


@dataclass(frozen=True, slots=True)
class TrafficCounts:
    """All traffic since the sets were made.

    ``allowed`` has a row a port that is open, also with no packet: they are first packets and
    all later ones of the asking side, those of answers are not in it. A packet that two rules
    allow to one host port counts with the first. ``denied`` has the rows with packets alone.
    """

    allowed: tuple[Traffic, ...] = ()
    denied: tuple[Traffic, ...] = ()


def counted_sets(ruleset: Ruleset) -> tuple[str, ...]:
    """Return the names of the sets whose counters `count_traffic` adds up."""
    return tuple(s.name for s in ruleset.sets if _is_allow(s) or _denied_kind(s) is not None)


def count_traffic(counters: Counters, ruleset: Ruleset, inventory: Inventory) -> TrafficCounts:
    """Return the counters of set elements added up by container port.

    Sets that are not in ``counters`` count nothing. Elements that no longer stand for what runs (a
    container moved) are shown by their address.
    """
    labels = Labels(inventory)
    return TrafficCounts(_allowed(counters, ruleset, labels), _denied(counters, ruleset, labels))


class _Sums:
    """Adds up the counters of each target: it may be in many elements of many sets."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
        self._ends: dict[tuple[str, str, str], set[int | None]] = defaultdict(set)

    def add(
        self, key: tuple[str, str, str], count: tuple[int, int], until: int | None = None
    ) -> None:
        packets, size = self._sums[key]
        self._sums[key] = (packets + count[0], size + count[1])
        self._ends[key].add(until)

    def rows(self) -> tuple[Traffic, ...]:
        return tuple(
            Traffic(*key, *count, until=self._end(key)) for key, count in sorted(self._sums.items())
        )

    def _end(self, key: tuple[str, str, str]) -> int | None:
        ends = [end for end in self._ends[key] if end is not None]
        return max(ends) if len(ends) == len(self._ends[key]) else None


def _allowed(counters: Counters, ruleset: Ruleset, labels: Labels) -> tuple[Traffic, ...]:
    rules = rules_by_set(rule for chain in ruleset.chains for rule in chain.rules)
    sums = _Sums()
    for ipset in ruleset.sets:
        if not _is_allow(ipset):
            continue
        bucket = read_bucket(ipset.name, rules.get(ipset.name))
        if bucket is None:
            continue
        for target, count in _counts(bucket, counters.get(ipset.name, {})):
            sums.add(_allowed_key(target, labels), count, bucket.name.until)
    return sums.rows()


def _counts(
    bucket: BucketMeaning, counted: Mapping[LiveElement, tuple[int, int]]
) -> Iterator[tuple[Destination, tuple[int, int]]]:
    for element, count in counted.items():
        if isinstance(element, OddElement):
            continue
        if (meaning := bucket.read(element)) is not None:
            yield meaning[0], count


def _allowed_key(target: Destination, labels: Labels) -> tuple[str, str, str]:
    if target.place == "container" and target.where is not None:
        return labels.label(target.where), target.ports, ""
    if target.protocol is None or target.first != target.last:
        return "", "", host_port_text(target.address, [_range(target)])
    port = Port(target.protocol, target.first)
    container, container_port = _behind(labels.behind(target.address, target.family, port), port)
    return container, container_port, host_port_text(target.address, [_range(target)])


def _range(target: Destination) -> Range:
    if target.protocol is None:
        return EVERY_PORT
    return Range(target.protocol, target.first, target.last)


def _behind(pairs: Iterable[tuple[str, int]], port: Port) -> tuple[str, str]:
    """Return the container and its port; "" when the host port leads to several, or to none."""
    known = set(pairs)
    if len(known) != 1:
        return "", ""
    name, number = known.pop()
    return name, port_text(port.protocol, number, number)


def _is_allow(ipset: IPSet) -> bool:
    return ipset.phase in ("allow", "inside allow")


def _denied_kind(ipset: IPSet) -> Literal["target", "pub"] | None:
    """Return whether a set counts what is denied by container address or by host port."""
    if is_topic(ipset.name, "target"):
        return "target"
    return "pub" if is_topic(ipset.name, "pub") else None


def _denied(counters: Counters, ruleset: Ruleset, labels: Labels) -> tuple[Traffic, ...]:
    sums = _Sums()
    for ipset in ruleset.sets:
        kind = _denied_kind(ipset)
        for element, count in counters.get(ipset.name, {}).items():
            if isinstance(element, OddElement):
                continue
            key = _denied_key(kind, element, ipset.family, labels) if count[0] else None
            if key is not None:
                sums.add(key, count)
    return sums.rows()


def _denied_key(
    kind: Literal["target", "pub"] | None, element: Element, family: Family, labels: Labels
) -> tuple[str, str, str] | None:
    if kind == "target":
        address = read_network(element)
        return (labels.label(address), "", "") if address is not None else None
    guarded = read_guarded(element) if kind == "pub" else None
    if guarded is None:
        return None
    where, port = guarded
    container, container_port = _behind(labels.behind(where, family, port), port)
    host_port = Range(port.protocol, port.number, port.number)
    return container, container_port, host_port_text(where, [host_port])
