"""Counters of set elements -> packets and bytes by container port, allowed and denied.

Pure. Takes counters that others read, with the ruleset and the inventory. Never reads the kernel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Family, Port
from dockerfw.plan.state import LiveElement, OddElement
from dockerfw.report.labels import Labels, host_port_text
from dockerfw.report.open_ports import EVERY_PORT, NO_PORTS, Ports, Range
from dockerfw.report.port_documents import host_ports_document, ports_document
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
from dockerfw.text import iso_moment

Counters: TypeAlias = Mapping[str, Mapping[LiveElement, tuple[int, int]]]
"""Set name -> element -> (packets, bytes)."""
NO_COUNTERS: Counters = MappingProxyType({})


class TrafficPlace(NamedTuple):
    """Ports of a container and, at ``address`` (None: every one), of this host."""

    ports: Ports = NO_PORTS
    host_ports: tuple[Range, ...] = ()
    address: Address | None = None


NOWHERE = TrafficPlace()


class _Key(NamedTuple):
    """What `Traffic` is added up by, as it is told."""

    container: str
    port: str
    host_port: str


_Target: TypeAlias = tuple[_Key, TrafficPlace]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets to one target.

    ``container`` is what people call it (several that share a network: ``a + b``), an address
    that no container has now, or empty when a host port leads to none. ``port`` is the
    container's, empty for all. ``host_port`` is the host port that the packets were sent to,
    empty when they came to the container's own address. ``until`` is when the last rule that
    opens it ends by itself (Unix time); None: never. ``place`` is the same ports as values.
    """

    container: str
    port: str
    host_port: str
    packets: int
    bytes: int
    until: int | None = None
    place: TrafficPlace = field(default=NOWHERE, compare=False)

    def to_json(self) -> dict[str, object]:
        place = self.place
        return {
            "container": self.container,
            "port": self.port,
            "ports": ports_document(place.ports),
            "host_ports": host_ports_document(place.host_ports, place.address),
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
        self._sums: dict[_Key, tuple[int, int]] = defaultdict(lambda: (0, 0))
        self._ends: dict[_Key, set[int | None]] = defaultdict(set)
        self._places: dict[_Key, TrafficPlace] = {}

    def add(self, target: _Target, count: tuple[int, int], until: int | None = None) -> None:
        key, self._places[key] = target
        packets, size = self._sums[key]
        self._sums[key] = (packets + count[0], size + count[1])
        self._ends[key].add(until)

    def rows(self) -> tuple[Traffic, ...]:
        return tuple(
            Traffic(*key, *count, until=self._end(key), place=self._places[key])
            for key, count in sorted(self._sums.items())
        )

    def _end(self, key: _Key) -> int | None:
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


def _allowed_key(target: Destination, labels: Labels) -> _Target:
    own = _range(target)
    if target.place == "container" and target.where is not None:
        label = labels.label(target.where)
        return _Key(label, target.ports, ""), TrafficPlace(Ports((own,)))
    if target.protocol is None or target.first != target.last:
        host_port = host_port_text(target.address, [own])
        return _Key("", "", host_port), TrafficPlace(NO_PORTS, (own,), target.address)
    return _by_host_port(target.address, target.family, Port(target.protocol, target.first), labels)


def _by_host_port(where: Address | None, family: Family, port: Port, labels: Labels) -> _Target:
    """Name the container and its port, unless the host port leads to several, or to none."""
    host = Range(port.protocol, port.number, port.number)
    host_port = host_port_text(where, [host])
    known = set(labels.behind(where, family, port))
    if len(known) != 1:
        return _Key("", "", host_port), TrafficPlace(NO_PORTS, (host,), where)
    name, number = known.pop()
    own = Range(port.protocol, number, number)
    return _Key(name, str(own), host_port), TrafficPlace(Ports((own,)), (host,), where)


def _range(target: Destination) -> Range:
    if target.protocol is None:
        return EVERY_PORT
    return Range(target.protocol, target.first, target.last)


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
) -> _Target | None:
    if kind == "target":
        address = read_network(element)
        return None if address is None else (_Key(labels.label(address), "", ""), NOWHERE)
    guarded = read_guarded(element) if kind == "pub" else None
    return None if guarded is None else _by_host_port(guarded[0], family, guarded[1], labels)
