"""Reads what packets have put into our sets: who was denied, where, how often and when.

Takes the text of ``ipset save``, gives `Denial`s. Never changes anything. How long an element has
left tells when it began to stand, as long as nobody changes how long they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

from dockerfw.kernel.ipset.parse import canonical_protocol, parse_count
from dockerfw.kernel.runner import Runner, require
from dockerfw.model.denial import Denial
from dockerfw.model.net import FAMILIES, Address, Family, IPNetwork, Port
from dockerfw.rules.names import Record, record_set
from dockerfw.rules.ruleset import RECORDED_FOR

_LEFT = re.compile(r" timeout (\d+)")
_PREFIX = 64
_KIND = re.compile(r"[a-z-]+|\d+/\d+", re.ASCII)
_Key: TypeAlias = tuple[Address, Port, IPNetwork]


def read(runner: Runner, now: float) -> tuple[Denial, ...]:
    """Return what is recorded at ``now`` (Unix time), in no order. Raises `Failed`."""
    stand = set(require(runner, ["ipset", "list", "-n"]).split())

    def lines(record: Record, family: Family) -> Iterable[str]:
        name = record_set(record, family)
        return require(runner, ["ipset", "save", name]).splitlines() if name in stand else ()

    return tuple(
        denial
        for family in FAMILIES
        for denial in denials(lines("denied", family), lines("again", family), family, now)
    )


def denials(
    denied: Iterable[str], again: Iterable[str], family: Family, now: float
) -> tuple[Denial, ...]:
    """Return the denials of one family, of the lines of its two sets. What cannot be read is left
    out.
    """
    last = {key: began for key, began, _ in _elements(again, family, now)}
    found: dict[_Key, Denial] = {}
    for key, began, line in _elements(denied, family, now):
        destination, port, source = key
        packets, size = parse_count(line)
        one = Denial(source, destination, port, packets, size, began, max(began, last.get(key, 0)))
        found[key] = _together(found[key], one) if key in found else one
    return tuple(found.values())


def _together(one: Denial, other: Denial) -> Denial:
    """IPv6 addresses of one /64 are told apart in the kernel alone, while its record is full."""
    return Denial(
        one.source,
        one.destination,
        one.port,
        one.packets + other.packets,
        one.bytes + other.bytes,
        min(one.first, other.first),
        max(one.last, other.last),
    )


def _elements(
    lines: Iterable[str], family: Family, now: float
) -> Iterator[tuple[_Key, float, str]]:
    """Yield what each element is about, when its time began, and its line."""
    for line in lines:
        left = _LEFT.search(line)
        # What a record begins with never ends.
        if not line.startswith("add ") or left is None or left[1] == "0":
            continue
        try:
            yield _key(line.split(" ", 3)[2], family), now - RECORDED_FOR + int(left[1]), line
        except ValueError:
            continue


def _key(entry: str, family: Family) -> _Key:
    destination, port, source = entry.split(",")
    protocol, _, number = port.partition(":")
    name = canonical_protocol(protocol)
    where = _icmp(number) if name in ("icmp", "ipv6-icmp") else Port(name, int(number))
    if family == 4:
        return IPv4Address(destination), where, ip_network(source)
    begin = IPv6Network(source).network_address
    return IPv6Address(destination), where, IPv6Network((begin, _PREFIX), strict=False)


def _icmp(kind: str) -> Port:
    """Ping is a port of its own; no rule names any other kind."""
    if not _KIND.fullmatch(kind):
        raise ValueError(kind)
    return Port("icmp" if kind == "echo-request" else f"icmp-{kind}", 0)
