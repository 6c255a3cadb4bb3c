"""NAT rules of others, however they were written -> which ports of this host lead to where.

Pure. Takes chains of `NatRule`, which ``iptables/nat.py`` and ``nft/nat.py`` read; gives
`PortForward`s, and (`unread`) for which ports such a rule is not understood. Of a rule's
conditions those count that name protocol, port and address: whoever else a rule is for, its host
port is one that somebody leads on. That it asks for more is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias

from dockerfw.model.host import PortForward
from dockerfw.model.net import Address, Family, IPNetwork

PortRange: TypeAlias = tuple[int, int]

_Span: TypeAlias = tuple[str | None, int, int]
_WITH_PORTS = ("tcp", "udp", "sctp")
_DEPTH = 8
_MOST = 4096
"""So many forwards of one family are enough for people; a kube-proxy has more."""


@dataclass(frozen=True, slots=True)
class NatRule:
    """What one rule asks of a packet, and where it sends it.

    A condition that is None is one that it does not have. ``jump`` is a chain; ``to`` an address
    (None: this host's own) and a port (None: the port stays). ``stops``: what meets it goes no
    further. ``conditional``: it asks for something besides, or another rule before it does.
    ``unread``: for which addresses and ports, or where to, is not known here.
    """

    family: Family | None = None
    protocol: str | None = None
    ports: tuple[PortRange, ...] | None = None
    networks: tuple[IPNetwork, ...] | None = None
    jump: str | None = None
    to: tuple[Address | None, int | None] | None = None
    stops: bool = False
    conditional: bool = False
    unread: bool = False

    def narrowed(self, by: NatRule) -> NatRule:
        """Return what both ask together, sent where the other rule sends it.

        Of two lists of ports, or of networks, it is the other rule's: what both have may be less.
        """
        less = (self.ports not in (None, by.ports) and by.ports is not None) or (
            self.networks not in (None, by.networks) and by.networks is not None
        )
        return replace(
            by,
            family=by.family or self.family,
            protocol=by.protocol or self.protocol,
            ports=by.ports if by.ports is not None else self.ports,
            networks=by.networks if by.networks is not None else self.networks,
            conditional=by.conditional or self.conditional or less,
            unread=by.unread or self.unread,
        )

    def may_meet(self, other: NatRule) -> bool:
        """Return True if one packet may be what both ask for."""
        return (
            (self.family is None or other.family in (None, self.family))
            and (self.protocol is None or other.protocol in (None, self.protocol))
            and (
                self.ports is None
                or other.ports is None
                or any(a <= d and c <= b for a, b in self.ports for c, d in other.ports)
            )
            and (
                self.networks is None
                or other.networks is None
                or any(
                    one.version == two.version and one.overlaps(two)
                    for one in self.networks
                    for two in other.networks
                )
            )
        )


def forwards(
    family: Family,
    chains: Mapping[str, Sequence[NatRule]],
    starts: Iterable[str],
    local: frozenset[Address],
    bridged: Sequence[IPNetwork],
) -> tuple[PortForward, ...]:
    """Return those that begin in one of the chains ``starts`` and lead into one of ``bridged``, or
    to this host.

    ``local`` are this host's own addresses: what is sent elsewhere is no port of this host.
    """
    found = (
        forward
        for rule in _rewriting(family, chains, starts)
        for forward in _forwards(family, rule, local, bridged)
    )
    return distinct(islice(found, _MOST))


def unread(
    family: Family,
    chains: Mapping[str, Sequence[NatRule]],
    starts: Iterable[str],
    local: frozenset[Address],
    bridged: Sequence[IPNetwork],
) -> tuple[PortForward, ...]:
    """Return what `forwards` cannot: rules that may lead there, it is not known from which ports
    or where to. All are conditional.
    """
    found = (
        PortForward(family, address, protocol, first, last, None, conditional=True)
        for rule in _rewriting(family, chains, starts)
        if _leads_here(family, rule, local, bridged)
        for address in _addresses(family, rule, local)
        if rule.unread or not _spans(rule, address)
        for protocol, first, last in _not_known(rule)
    )
    return distinct(islice(found, _MOST))


def unread_table(family: Family) -> PortForward:
    """Return what stands for a table of which nothing is known."""
    return PortForward(family, None, None, 0, 0, None, conditional=True)


def _rewriting(
    family: Family, chains: Mapping[str, Sequence[NatRule]], starts: Iterable[str]
) -> Iterator[NatRule]:
    for start in starts:
        for rule in _ends(chains, start, NatRule(), _DEPTH, []):
            if rule.family in (None, family):
                yield rule


def distinct(found: Iterable[PortForward]) -> tuple[PortForward, ...]:
    """Return each forward once: conditional where none like it is without conditions."""
    conditional: dict[PortForward, bool] = {}
    for forward in found:
        plain = replace(forward, conditional=False)
        conditional[plain] = conditional.get(plain, True) and forward.conditional
    return tuple(replace(plain, conditional=may_not) for plain, may_not in conditional.items())


def _ends(
    chains: Mapping[str, Sequence[NatRule]],
    chain: str,
    so_far: NatRule,
    depth: int,
    stops: list[NatRule],
) -> Iterator[NatRule]:
    """``stops`` are rules before this chain that ended some packets; those in it are added."""
    for rule in chains.get(chain, ()) if depth else ():
        narrowed = so_far.narrowed(rule)
        if any(stop.may_meet(narrowed) for stop in stops):
            narrowed = replace(narrowed, conditional=True)
        if rule.stops:
            stops.append(narrowed)
        elif rule.jump is not None:
            yield from _ends(chains, rule.jump, narrowed, depth - 1, stops)
        elif rule.to is not None or rule.unread:
            yield narrowed


def _forwards(
    family: Family, rule: NatRule, local: frozenset[Address], bridged: Sequence[IPNetwork]
) -> Iterator[PortForward]:
    if rule.to is None or rule.unread or not _leads_here(family, rule, local, bridged):
        return
    to, to_port = rule.to
    for address in _addresses(family, rule, local):
        for protocol, first, last in _spans(rule, address):
            yield PortForward(
                family,
                address,
                protocol,
                first,
                last,
                None if to in local else to,
                to_port,
                rule.conditional,
            )


def _leads_here(
    family: Family, rule: NatRule, local: frozenset[Address], bridged: Sequence[IPNetwork]
) -> bool:
    to = rule.to[0] if rule.to else None
    return to is None or (to.version == family and (to in local or _in(to, bridged)))


def _addresses(
    family: Family, rule: NatRule, local: frozenset[Address]
) -> tuple[Address | None, ...]:
    """Return the addresses of this host that the rule is for; None stands for all."""
    if rule.networks is None:
        return (None,)
    own = sorted(a for a in local if a.version == family)
    return tuple(a for a in own if _in(a, rule.networks))


def _spans(rule: NatRule, address: Address | None) -> tuple[_Span, ...]:
    """Return the ports that the rule is for at this address, as far as they are known.

    Every port of every address is nothing that anybody means.
    """
    if rule.ports is not None:
        return tuple((rule.protocol, *ports) for ports in rule.ports if rule.protocol is not None)
    return _every_port(rule.protocol) if address is not None else ()


def _not_known(rule: NatRule) -> tuple[_Span, ...]:
    """Return the ports that the rule may be for, where they or where it leads are not known."""
    if rule.ports is None:
        return _every_port(rule.protocol)
    protocols = (rule.protocol,) if rule.protocol else _WITH_PORTS
    return tuple((protocol, *ports) for protocol in protocols for ports in rule.ports)


def _every_port(protocol: str | None) -> tuple[_Span, ...]:
    return ((protocol, 0, 0 if protocol is None else 65535),)


def _in(address: Address, networks: Iterable[IPNetwork]) -> bool:
    return any(n.version == address.version and address in n for n in networks)
