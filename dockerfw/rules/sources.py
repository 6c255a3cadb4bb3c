"""Where the sources of a statement may come from, in the terms that a rule or a set can match.

Pure. Takes the ``from`` of a statement (`Source` values); gives `Term`s for each class of source:
a short list stands in the elements of the target set, a long one in a set of its own, an interface
in the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import TypeAlias

from dockerfw.model.net import FAMILIES, Address, Family, IPNetwork, network, same
from dockerfw.model.policy import (
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    InterfaceSource,
    PortRange,
    Selector,
    SelectorSource,
    Source,
    outside_networks,
)
from dockerfw.rules.names import Class, list_set

LIST_OVER = 64
"""A source list with more networks than this gets a set of its own."""
PRODUCT_OVER = 4096
"""So does a list whose networks times ports are more than this."""


_HALVES: Mapping[Family, tuple[IPNetwork, IPNetwork]] = {
    4: (same(ip_network("0.0.0.0/1")), same(ip_network("128.0.0.0/1"))),
    6: (same(ip_network("::/1")), same(ip_network("8000::/1"))),
}
LINK_LOCAL = ip_network("fe80::/10")
"""On a Docker bridge: containers, and nobody can tell which."""
NOBODY: Mapping[Family, IPNetwork] = {4: ip_network("0.0.0.0/8"), 6: ip_network("::/128")}
"""No sender's addresses; the kernel does not ask for a way back there."""
NOBODY_BY_NAME: Mapping[Family, tuple[IPNetwork, ...]] = {
    4: (ip_network("224.0.0.0/4"), ip_network("255.255.255.255/32")),
    6: (LINK_LOCAL, ip_network("ff00::/8")),
}
"""Destinations on a bridge that any container there may be meant by."""


def halves(family: Family) -> tuple[IPNetwork, IPNetwork]:
    """Return the whole address space, as ipset takes it: it refuses a /0."""
    return _HALVES[family]


# An address stands in a dozen elements; to make a network of it is what compiling costs most.
@lru_cache(maxsize=1 << 16)
def host_net(address: Address) -> IPNetwork:
    """Return one address as a network."""
    return network(address.packed, address.max_prefixlen)


# --- terms ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keyed:
    """A short list: each network stands in the target set's own elements."""

    networks: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A long list: a set of its own, named after its content."""

    name: str
    networks: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class FromInterface:
    """All that comes in on an interface; a ``*`` at the end matches any rest."""

    name: str


@dataclass(frozen=True, slots=True)
class Everyone:
    """No match at all: every source of its class."""


Term: TypeAlias = Keyed | Listed | FromInterface | Everyone
Terms: TypeAlias = dict[Class, list[Term]]


class SourceTerms:
    """The terms of a policy's statements, each found once.

    ``named`` gives the addresses of the containers that a selector names. Compilers for parts of
    an inventory share one of these: a source may be anywhere in the whole of it.
    """

    def __init__(self, named: Callable[[Selector], Iterable[Address]]) -> None:
        self._named = named
        self._terms: dict[tuple[int, Family], Terms] = {}

    def terms(self, index: int, statement: Allow | Deny, family: Family) -> Terms:
        """Return the terms of this statement, which has this index in the policy."""
        known = self._terms.get((index, family))
        if known is None:
            known = self._terms[index, family] = {
                "outside": _outside(family, statement),
                "inside": self._inside(family, statement),
            }
        return known

    def forget(self, index: int) -> None:
        """Drop the terms of a statement: the containers that it names as sources have moved."""
        for family in FAMILIES:
            self._terms.pop((index, family), None)

    def _inside(self, family: Family, statement: Allow | Deny) -> list[Term]:
        """A deny of containers is one of link-local sources: each may be one of them."""
        sources = statement.sources
        terms = _interfaces(sources)
        if any(isinstance(s, BridgeSource) for s in sources):
            return [Everyone(), *terms]
        selectors = tuple(s.selector for s in sources if isinstance(s, SelectorSource))
        addresses = {
            host_net(address)
            for selector in selectors
            for address in self._named(selector)
            if address.version == family
        }
        if isinstance(statement, Deny) and family == 6:
            addresses.add(LINK_LOCAL)
        if selectors:
            terms.append(Keyed(tuple(sorted(addresses))))
        return terms


def _outside(family: Family, statement: Allow | Deny) -> list[Term]:
    sources = statement.sources
    interfaces = _interfaces(sources)
    if any(isinstance(s, AnySource) for s in sources):
        return [Keyed(halves(family)), *interfaces]
    short: list[IPNetwork] = []
    terms: list[Term] = []
    for source in sources:
        networks = _networks(source, family)
        if len(networks) > LIST_OVER:
            terms.append(list_term(_distinct(networks, family), family))
        else:
            short += networks
    if short:
        together = _distinct(short, family)
        products = len(together) * _count_ports(statement)
        large = len(together) > LIST_OVER or products > PRODUCT_OVER
        terms.append(list_term(together, family) if large else Keyed(tuple(map(same, together))))
    return terms + interfaces


def _count_ports(statement: Allow | Deny) -> int:
    ranges = [s for s in statement.ports if isinstance(s, PortRange)]
    ranges += [s.ports for s in statement.published]
    return sum(ports.last - ports.first + 1 for ports in ranges)


def list_term(networks: tuple[IPNetwork, ...], family: Family) -> Listed:
    """Return the term of these networks as a list set of their own."""
    packed = b"".join(n.network_address.packed + bytes([n.prefixlen]) for n in networks)
    return Listed(list_set(packed, family), networks)


def _interfaces(sources: tuple[Source, ...]) -> list[Term]:
    return [FromInterface(s.name) for s in sources if isinstance(s, InterfaceSource)]


def _networks(source: Source, family: Family) -> tuple[IPNetwork, ...]:
    return tuple(n for n in outside_networks(source) if n.version == family)


def _distinct(networks: Iterable[IPNetwork], family: Family) -> tuple[IPNetwork, ...]:
    """Return each once, sorted, and with no /0. Overlaps may stay: a set finds either."""
    once = set(networks)
    if any(network.prefixlen == 0 for network in once):
        return halves(family)
    return tuple(sorted(once, key=lambda n: (int(n.network_address), n.prefixlen)))
