"""Reads meaning back out of our ipsets: who is allowed or denied what, by names, entries, rules.

The inverse of what ``rules/compiler.py`` and ``kernel/render.py`` do with them. Takes text as
``ipset save``
and ``iptables-save`` print it, gives values. Pure; what is not ours is None, never an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from re import compile as compile_regex
from typing import Literal, NamedTuple, TypeAlias

from dockerfw.model.net import Address, Family, IPNetwork, Port
from dockerfw.rules.ruleset import end_of
from dockerfw.text import UNKNOWN_PROTOCOL, port_text

Place: TypeAlias = Literal["host", "container"]
Class: TypeAlias = Literal["outside", "inside"]
Verdict: TypeAlias = Literal["allow", "deny"]


@dataclass(frozen=True, slots=True)
class Interface:
    """Whatever came in on it."""

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


Source: TypeAlias = IPv4Network | IPv6Network | Interface | NetworkList | Inside | Unknown
"""Where packets come from; a plain network is one of the outside."""


class Target(NamedTuple):
    """What is judged: ``where`` None is every address of the family, ``protocol`` None every port.

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
        return port_text(self.protocol, self.first, self.last)

    @property
    def subnet(self) -> bool:
        """Whether it stands for the addresses of a Docker network."""
        return self.where is not None and self.where.prefixlen < self.where.max_prefixlen

    def holds(self, other: Target) -> bool:
        """Whether, this being a subnet, the other one's addresses lie in it."""
        if self.where is None or other.where is None or self[:2] != other[:2]:
            return False
        nearer = other.where.prefixlen >= self.where.prefixlen
        return nearer and other.where.network_address in self.where

    def covers_ports(self, other: Target) -> bool:
        if self.protocol is None:
            return True
        within = self.first <= other.first and other.last <= self.last
        return self.protocol == other.protocol and within


@dataclass(frozen=True, slots=True)
class Bucket:
    """What the name of a target set, and the rule that uses it, say of its entries.

    ``source`` None: it stands in each entry. ``span`` None: the port does. ``until`` is when the
    kernel ends what is allowed (Unix time); None: never.
    """

    family: Family
    place: Place
    cls: Class
    verdict: Verdict
    type: str
    source: Source | None = None
    span: tuple[str | None, int, int] | None = None
    until: int | None = None

    def read(self, entry: str) -> tuple[Target, Source] | None:
        """What one entry (text of ``ipset save``) allows or denies; None: no entry of ours."""
        parts = entry.split(",")
        keyed = self.type != "hash:net"
        try:
            port = _port(parts[1]) if keyed else None
            if self.type == "hash:ip,port,net":
                return self._target(network_of(parts[0]), port), self._source(parts[2])
            if keyed and self.source is None:
                return self._target(None, port), self._source(parts[0])
            return self._target(_anywhere(network_of(parts[0])), port), self._source(None)
        except (ValueError, IndexError):
            return None

    def _target(self, where: IPNetwork | None, port: Port | None) -> Target:
        if port is not None:
            return Target(self.place, self.family, where, port.protocol, port.number, port.number)
        return Target(self.place, self.family, where, *(self.span or (UNKNOWN_PROTOCOL, 0, 0)))

    def _source(self, text: str | None) -> Source:
        if text is None:
            return self.source or Inside()
        network = network_of(text)
        return network if self.cls == "outside" else Inside(network)


_ENDS = "(?:-u[0-9a-f]{8})?"
_TERMS = f"-[0-9a-f]{{6,10}}-([46]){_ENDS}"
_KEYED = compile_regex(rf"dockerfw-(in-)?(?:(deny-)?(?:port|addr)|(allow|deny))([46]){_ENDS}")
_TERM = compile_regex(rf"dockerfw-([hc])([oi])([ad]){_TERMS}")
_USED = compile_regex(rf"--match-set (dockerfw-[hc][oi][ad]{_TERMS}) dst")
_LIST = compile_regex(r"--match-set (dockerfw-list-\S+) src")
_FROM_INTERFACE = compile_regex(r"(?:^| )-i (\S+)")
_PORTS = compile_regex(r"(?:^| )-p (\w+) .*--dport (\d+)(?::(\d+))?(?: |$)")


def read_bucket(name: str, set_type: str, rule: str | None) -> Bucket | None:
    """A set of allowed or denied targets; None for every other set.

    ``rule`` is the text of the rule that uses it (see `rules_by_set`), needed only for sets with
    a digest in their name.
    """
    if found := _KEYED.fullmatch(name):
        inside, host_deny, verdict, family = found.groups()
        return Bucket(
            family=4 if family == "4" else 6,
            place="host" if verdict is None else "container",
            cls="inside" if inside else "outside",
            verdict="deny" if host_deny or verdict == "deny" else "allow",
            type=set_type,
            until=end_of(name),
        )
    if found := _TERM.fullmatch(name):
        place, letter, verdict, digit = found.groups()
        family_of: Family = 4 if digit == "4" else 6
        cls: Class = "inside" if letter == "i" else "outside"
        return Bucket(
            family=family_of,
            place="host" if place == "h" else "container",
            cls=cls,
            verdict="allow" if verdict == "a" else "deny",
            type=set_type,
            source=Unknown(name) if rule is None else _rule_source(rule, cls, family_of),
            span=_rule_span(rule) if set_type == "hash:net" and rule is not None else None,
            until=end_of(name),
        )
    return None


def rules_by_set(rules: Iterable[str]) -> dict[str, str]:
    """Set name -> the rule that judges by it, of rules as ``iptables-save`` prints them."""
    return {found[1]: rule for rule in rules if (found := _USED.search(rule))}


def _rule_source(rule: str, cls: Class, family: Family) -> Source:
    if found := _LIST.search(rule):
        return NetworkList(found[1], cls)
    if found := _FROM_INTERFACE.search(rule):
        name = found[1]
        return Interface(f"{name[:-1]}*" if name.endswith("+") else name, cls)
    if cls == "inside":
        return Inside()
    return network_of("0.0.0.0/0" if family == 4 else "::/0")


def _rule_span(rule: str) -> tuple[str | None, int, int]:
    found = _PORTS.search(rule)
    if found is None:
        return (None, 0, 65535)
    return (found[1], int(found[2]), int(found[3] or found[2]))


@lru_cache(maxsize=1 << 17)
def network_of(text: str) -> IPNetwork:
    """A network or an address, as a set's entry has it."""
    return ip_network(text)


def _anywhere(network: IPNetwork) -> IPNetwork | None:
    """None for half of all addresses: two halves are how an ipset says "every address"."""
    return None if network.prefixlen == 1 else network


@lru_cache(maxsize=1 << 14)
def _port(text: str) -> Port:
    protocol, _, number = text.partition(":")
    if protocol in ("icmp", "ipv6-icmp"):
        return Port("icmp", 0)
    return Port(protocol, int(number))


def read_guarded(entry: str) -> tuple[Address | None, Port] | None:
    """The address (None: every one) and host port of an entry of ``dockerfw-pub*``."""
    try:
        address, port = entry.split(",")
        where = _anywhere(network_of(address))
        return (where.network_address if where is not None else None), _port(port)
    except ValueError:
        return None


def read_network(entry: str) -> IPNetwork | None:
    """An entry of a set of networks or addresses."""
    try:
        return network_of(entry)
    except ValueError:
        return None
