"""What the elements of our sets and the rules that use them mean: who is allowed or denied what.

The inverse of ``rules/buckets.py``. Pure: takes names, elements and rules as values; what is not
ours is None, never an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple, TypeAlias

from dockerfw.model.net import Address, Family, IPNetwork, Port
from dockerfw.rules.names import (
    INSIDE,
    OK,
    PRE_INSIDE,
    PRE_SOURCE,
    BucketName,
    Class,
    ListName,
    Place,
    is_topic,
    read_name,
)
from dockerfw.rules.rule import DestPorts, Goto, InInterface, InSet, Rule, SetMark
from dockerfw.rules.ruleset import Element
from dockerfw.text import UNKNOWN_PROTOCOL, port_text

# --- who, and what -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interface:
    """Whatever came in on it; a ``*`` at the end matches any rest."""

    name: str
    cls: Class


@dataclass(frozen=True, slots=True)
class NetworkList:
    """The networks of a list set."""

    name: str
    cls: Class


@dataclass(frozen=True, slots=True)
class Inside:
    """Containers: one address (``network``), or all on Docker's bridges (None)."""

    network: IPNetwork | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Of a bucket whose rule is not at hand."""

    set_name: str


SourceMatch: TypeAlias = IPv4Network | IPv6Network | Interface | NetworkList | Inside | Unknown
"""Where packets come from; a plain network is one of the outside."""


class Destination(NamedTuple):
    """What packets are sent to. ``where`` None is every address of the family, ``protocol`` None
    every port.

    An ICMP echo request is port 0 of ``icmp``.
    """

    place: Place
    family: Family
    where: IPNetwork | None
    protocol: str | None
    first: int
    last: int

    @property
    def address(self) -> Address | None:
        return self.where.network_address if self.where is not None else None

    @property
    def ports(self) -> str:
        """The ports in words: ``80/tcp``, ``all ports``."""
        return port_text(self.protocol, self.first, self.last)

    @property
    def is_subnet(self) -> bool:
        """True if it stands for the addresses of a Docker network."""
        return self.where is not None and self.where.prefixlen < self.where.max_prefixlen

    def holds(self, other: Destination) -> bool:
        """Return True if, this being a subnet, the other one's addresses lie in it."""
        if self.where is None or other.where is None or self[:2] != other[:2]:
            return False
        nearer = other.where.prefixlen >= self.where.prefixlen
        return nearer and other.where.network_address in self.where

    def covers_ports(self, other: Destination) -> bool:
        if self.protocol is None:
            return True
        within = self.first <= other.first and other.last <= self.last
        return self.protocol == other.protocol and within


# --- buckets -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BucketMeaning:
    """What the name of a target set, and the rule that uses it, say of its elements.

    ``source`` None: it stands in each element. ``span`` None: the port does. ``parts``: how many
    parts an element has that the rule can mean (a set of another type may stand under the name).
    """

    name: BucketName
    source: SourceMatch | None = None
    span: tuple[str | None, int, int] | None = None
    parts: frozenset[int] = frozenset({1, 2})

    def read(self, element: Element) -> tuple[Destination, SourceMatch] | None:
        """Return what one element allows or denies, and to whom; None: no element of ours."""
        if len(element) not in self.parts:
            return None
        match element:
            case (IPv4Network() | IPv6Network() as where, Port() as port, network):
                if not isinstance(network, IPv4Network | IPv6Network):
                    return None
                return self._destination(where, port), self._source(network)
            case (IPv4Network() | IPv6Network() as network, Port() as port):
                if self.source is None:
                    return self._destination(None, port), self._source(network)
                return self._destination(_anywhere(network), port), self.source
            case (IPv4Network() | IPv6Network() as where,):
                return self._destination(_anywhere(where), None), self.source or Inside()
        return None

    def _destination(self, where: IPNetwork | None, port: Port | None) -> Destination:
        place, family = self.name.place, self.name.family
        if port is not None:
            return Destination(place, family, where, port.protocol, port.number, port.number)
        return Destination(place, family, where, *(self.span or (UNKNOWN_PROTOCOL, 0, 0)))

    def _source(self, network: IPNetwork) -> SourceMatch:
        return network if self.name.cls == "outside" else Inside(network)


def read_bucket(name: str, rule: Rule | None) -> BucketMeaning | None:
    """Return what a set of allowed or denied targets means; None for every other set.

    ``rule`` is the rule that uses it (see `rules_by_set`), needed only where the source is not in
    the elements.
    """
    found = read_name(name)
    if not isinstance(found, BucketName):
        return None
    if found.keyed:
        return BucketMeaning(found, parts=frozenset({2 if found.wildcard else 3}))
    if rule is None:
        return BucketMeaning(found, Unknown(name))
    span = _span(name, rule)
    return BucketMeaning(found, _source(rule, found), span, frozenset({2 if span is None else 1}))


def rules_by_set(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Return, by the name of each target set, the rule that uses it."""
    return {
        match.name: rule
        for rule in rules
        for match in rule.matches
        if isinstance(match, InSet)
        and match.directions[0] == "dst"
        and isinstance(found := read_name(match.name), BucketName)
        and not found.keyed
    }


def _source(rule: Rule, name: BucketName) -> SourceMatch:
    for match in rule.matches:
        if isinstance(match, InInterface):
            return Interface(match.name, name.cls)
        if isinstance(match, InSet) and isinstance(read_name(match.name), ListName):
            return NetworkList(match.name, name.cls)
    if name.cls == "inside":
        return Inside()
    return ip_network("0.0.0.0/0" if name.family == 4 else "::/0")


def _span(name: str, rule: Rule) -> tuple[str | None, int, int] | None:
    """Return the ports of a rule whose set holds addresses alone."""
    targets = [m for m in rule.matches if isinstance(m, InSet) and m.name == name]
    if any(len(match.directions) > 1 for match in targets):
        return None
    for match in rule.matches:
        if isinstance(match, DestPorts):
            return match.protocol, match.first, match.last
    return None, 0, 65535


# --- fixed rules ---------------------------------------------------------------------------------


def enters_inside(rule: Rule | None) -> bool:
    """Return True for rules that lead to the inside's chain."""
    return rule is not None and rule.target in (Goto(INSIDE), Goto(PRE_INSIDE))


def ends_head(rule: Rule | None) -> bool:
    """Return True for rules after the last of which the head of a chain ends."""
    if rule is None:
        return False
    names = [match.name for match in rule.matches if isinstance(match, InSet)]
    return enters_inside(rule) or any(is_topic(name, "guarded", "bridges") for name in names)


def checks_sources(rule: Rule | None) -> bool:
    """Return True for the rule at the end of `PRE`, which all that is allowed has to meet."""
    return rule is not None and rule.target == Goto(PRE_SOURCE)


def lets_bridges_in(rules: Mapping[str, Iterable[Rule]]) -> bool:
    """Return True if, by the rules of these chains, Docker's bridges pass by the baseline."""
    return any(_is_baseline(chain, rule) for chain, held in rules.items() for rule in held)


def _is_baseline(chain: str, rule: Rule) -> bool:
    if chain == INSIDE:
        return not rule.matches and rule.target == Goto(OK)
    if chain == PRE_INSIDE and isinstance(rule.target, SetMark) and len(rule.matches) == 1:
        match = rule.matches[0]
        return isinstance(match, InSet) and match.negated and is_topic(match.name, "hostnet")
    return False


# --- other sets ----------------------------------------------------------------------------------


def read_guarded(element: Element) -> tuple[Address | None, Port] | None:
    """Return the address (None: every one) and the host port of an element of ``pub``."""
    match element:
        case (IPv4Network() | IPv6Network() as network, Port() as port):
            where = _anywhere(network)
            return (where.network_address if where is not None else None), port
    return None


def read_network(element: Element) -> IPNetwork | None:
    """Return the network of an element of a set of networks or addresses."""
    first = element[0]
    return first if isinstance(first, IPv4Network | IPv6Network) else None


def _anywhere(network: IPNetwork) -> IPNetwork | None:
    """Return None for half of all addresses: an ipset has every address as two halves."""
    return None if network.prefixlen == 1 else network
