"""What a statement is about: the host ports and the container addresses that it opens or closes.

Pure. Takes a statement and the inventory; gives `Targets` for each `Place`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeGuard

from dockerfw.model.host import PortForward
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.net import Address, Family, IPNetwork, Port, port as port_of
from dockerfw.model.policy import Allow, Deny, PortKeyword, PortRange, PublishedSpec
from dockerfw.rules.names import Place
from dockerfw.rules.rule import FIRST_EPHEMERAL
from dockerfw.rules.ruleset import ServedPorts

SPAN_OVER = 1024
"""A range with more ports than this is matched as a range and not expanded."""


@dataclass(frozen=True, slots=True)
class Span:
    """``all`` (protocol None) or a wide range of ports."""

    protocol: str | None = None
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Targets:
    """What a statement opens or closes in one place: address None is every address.

    ``exact`` are single ports. ``meant`` are the spans that the *policy* names, whether or not a
    target has turned up: rules depend on the policy, elements on the inventory.
    """

    exact: frozenset[tuple[Address | None, Port]] = frozenset()
    spans: frozenset[tuple[Address | IPNetwork | None, Span]] = frozenset()
    meant: frozenset[Span] = frozenset()


class TargetFinder:
    """Finds the targets of statements in one inventory, or in a part of one.

    ``statements`` are all that may name a container of it. ``named_host_ports``: container id ->
    the ports of all those that name this host-network container exactly (P8).
    """

    def __init__(
        self,
        statements: Iterable[Allow | Deny],
        inventory: Inventory,
        forwards: tuple[PortForward, ...] = (),
    ) -> None:
        self.inventory = inventory
        self._redirects = redirects(forwards)
        self.named_host_ports = self._named_host_ports(statements)

    def find(self, family: Family, statement: Allow | Deny) -> dict[Place, Targets]:
        """Return the targets of a statement in one family, by place."""
        if statement.published:
            return {"host": self._published(family, statement)}
        if not statement.to:
            return self._everything(family)
        exact: set[tuple[Address | None, Port]] = set()
        host: set[tuple[Address | None, Port]] = set()
        spans: set[tuple[Address | IPNetwork | None, Span]] = set()
        ports = statement.ports or (PortKeyword.ALL,)
        meant = frozenset(_spans(ports))
        for container, endpoints in self.inventory.select(statement.to):
            published = self.inventory.published(container)
            host |= _bindings(family, published, ports)
            addresses = [a for e in endpoints for a in e.addresses if a.version == family]
            for address in addresses:
                exact |= {(address, port) for port in _ports(ports, published)}
                if PortKeyword.PUBLISHED in ports:
                    routed = self.inventory.network_owner(container).routed
                    exact |= {(address, Port(*port)) for port in routed}
                spans |= {(address, span) for span in meant}
        host |= {
            (None, port)
            for container in self._named_exactly(statement)
            for port in self._host_network_ports(container, statement)
        }
        return {
            "host": Targets(frozenset(host | self._redirected(family, host))),
            "container": Targets(frozenset(exact), frozenset(spans), meant),
        }

    def served(self, statements: Iterable[Allow | Deny]) -> Iterator[ServedPorts]:
        """Yield what these statements open at the containers' addresses, and what those publish.

        Of everything, and of wide ranges, that is ports below the ephemeral ones: a container asks
        from the others.
        """
        for statement in statements:
            opens = isinstance(statement, Allow) and statement.sources
            if not opens or statement.published:
                continue
            for _, endpoints in self.inventory.select(statement.to):
                for endpoint in endpoints:
                    yield from _opened(endpoint.addresses, statement.ports or (PortKeyword.ALL,))
        for container in self.inventory.containers:
            owner = self.inventory.network_owner(container)
            published = {(b.protocol, b.container_port) for b in owner.ports}
            for endpoint in self.inventory.endpoints(container):
                for address in endpoint.addresses:
                    for protocol, number in {*published, *owner.routed}:
                        yield address, PortRange(protocol, number, number)

    def _everything(self, family: Family) -> dict[Place, Targets]:
        """Return those of a deny that names nothing: all subnets of Docker, and every host port."""
        span = Span()
        subnets = frozenset(
            (subnet, span)
            for network in self.inventory.bridges()
            for subnet in network.subnets
            if subnet.version == family
        )
        return {
            "host": Targets(spans=frozenset({(None, span)}), meant=frozenset({span})),
            "container": Targets(spans=subnets, meant=frozenset({span})),
        }

    # host ports

    def _published(self, family: Family, statement: Allow | Deny) -> Targets:
        exact: set[tuple[Address | None, Port]] = set()
        spans: set[tuple[Address | IPNetwork | None, Span]] = set()
        meant: set[Span] = set()
        for spec in statement.published:
            if spec.address is not None and spec.address.version != family:
                continue
            closed: PortRange | set[int] = spec.ports
            if statement.to:
                narrowed = self._narrowed(family, statement, spec)
                exact |= narrowed
                closed = {port.number for _, port in narrowed}
            elif _wide(spec.ports):
                span = Span(spec.ports.protocol, spec.ports.first, spec.ports.last)
                spans.add((spec.address, span))
                meant.add(span)
            else:
                exact |= {(spec.address, port) for port in _expanded(spec.ports)}
            if isinstance(statement, Deny):
                exact |= self._denied_by_redirect(family, spec.ports.protocol, closed)
        return Targets(frozenset(exact), frozenset(spans), frozenset(meant))

    def _redirected(
        self, family: Family, leading: set[tuple[Address | None, Port]]
    ) -> set[tuple[Address | None, Port]]:
        """Return the host ports from which NAT of others leads to one of these host ports."""
        return {
            (redirect.address, Port(port.protocol, number))
            for redirect in self._redirects
            if redirect.family == family
            for address, port in leading
            if redirect.protocol == port.protocol
            for number in range(redirect.first, redirect.last + 1)
            if address is None and redirect.port_behind(number) == port.number
        }

    def _denied_by_redirect(
        self, family: Family, protocol: str, closed: PortRange | set[int]
    ) -> set[tuple[Address | None, Port]]:
        """Return the host ports from which NAT of others leads to one that a deny closes."""
        return {
            (redirect.address, Port(redirect.protocol, number))
            for redirect in self._redirects
            if redirect.family == family and redirect.protocol == protocol
            for number in range(redirect.first, redirect.last + 1)
            if redirect.port_behind(number) in closed
        }

    def _narrowed(
        self, family: Family, statement: Allow | Deny, spec: PublishedSpec
    ) -> set[tuple[Address | None, Port]]:
        """Return the bindings of the containers in ``to`` that ``published`` names."""
        found: set[tuple[Address | None, Port]] = set()
        for container, _ in self.inventory.select(statement.to):
            for binding in self.inventory.published(container):
                if not is_reachable(binding, family) or binding.protocol != spec.ports.protocol:
                    continue
                if binding.host_port not in spec.ports:
                    continue
                if binding.wildcard:
                    found.add((spec.address, Port(binding.protocol, binding.host_port)))
                elif spec.address in (None, binding.host_address):
                    found.add((binding.host_address, Port(binding.protocol, binding.host_port)))
        return found

    # host-network containers that a rule names exactly (P8)

    def _named_exactly(self, statement: Allow | Deny) -> list[Container]:
        names = {s.name for s in statement.to if s.exact_container}
        if not names:
            return []
        return [
            container
            for container, _ in self.inventory.select(statement.to)
            if container.name in names and self.inventory.on_host_network(container)
        ]

    def _named_host_ports(self, statements: Iterable[Allow | Deny]) -> dict[str, frozenset[Port]]:
        found: dict[str, set[Port]] = {}
        for statement in statements:
            for container in self._named_exactly(statement):
                found.setdefault(container.id, set()).update(_named_ports(statement))
        return {name: frozenset(ports) for name, ports in found.items()}

    def _host_network_ports(self, container: Container, statement: Allow | Deny) -> frozenset[Port]:
        if isinstance(statement, Deny) and not statement.ports:
            return self.named_host_ports.get(container.id, frozenset())
        return _named_ports(statement)


def redirects(forwards: Iterable[PortForward]) -> tuple[PortForward, ...]:
    """Return those that lead single ports of this host to others of its own.

    One that shares a host port with another rule is left out: which of them a packet meets depends
    on what else they ask, and a rule on the one may not open the other.
    """
    return tuple(
        one
        for one in forwards
        if one.to is None
        and one.protocol is not None
        and one.last - one.first < SPAN_OVER
        and not any(one is not other and _share_port(one, other) for other in forwards)
    )


def _share_port(one: PortForward, other: PortForward) -> bool:
    """Return True if both may rewrite one and the same packet."""
    anywhere = None in (one.address, other.address) or one.address == other.address
    if one.family != other.family or not anywhere:
        return False
    if other.protocol is None:
        return True
    return one.protocol == other.protocol and one.first <= other.last and other.first <= one.last


def is_reachable(binding: PublishedPort, family: Family) -> bool:
    """Return True if this binding is of this family and not on loopback.

    A binding to loopback is this host's own affair: nothing from outside is let in there.
    """
    return binding.host_address.version == family and not binding.host_address.is_loopback


def _opened(
    addresses: tuple[Address, ...], ports: Iterable[PortRange | PortKeyword]
) -> Iterator[ServedPorts]:
    for spec in ports:
        for address in addresses:
            if spec is PortKeyword.ALL:
                yield address, None
            elif isinstance(spec, PortRange) and not _wide(spec):
                yield address, spec
            elif isinstance(spec, PortRange) and spec.first < FIRST_EPHEMERAL:
                yield address, replace(spec, last=min(spec.last, FIRST_EPHEMERAL - 1))


def _wide(ports: PortRange) -> bool:
    return ports.last - ports.first >= SPAN_OVER


def _expanded(ports: PortRange) -> Iterator[Port]:
    return (port_of(ports.protocol, number) for number in range(ports.first, ports.last + 1))


def _named_ports(statement: Allow | Deny) -> frozenset[Port]:
    """Return the ports that a rule on a host-network container guards.

    A range too wide to be expanded guards none: it would close the host's own services.
    """
    return frozenset(
        port for spec in statement.ports if guards_host_ports(spec) for port in _expanded(spec)
    )


def guards_host_ports(spec: PortRange | PortKeyword) -> TypeGuard[PortRange]:
    """Return True for some ports of a host-network container, not whatever the host has."""
    return isinstance(spec, PortRange) and not _wide(spec)


def _spans(ports: Iterable[PortRange | PortKeyword]) -> Iterator[Span]:
    for spec in ports:
        if spec is PortKeyword.ALL:
            yield Span()
        elif isinstance(spec, PortRange) and _wide(spec):
            yield Span(spec.protocol, spec.first, spec.last)


def _ports(
    ports: Iterable[PortRange | PortKeyword], published: tuple[PublishedPort, ...]
) -> Iterator[Port]:
    """Yield the ports of a container's own address that stand in a set one by one."""
    for spec in ports:
        if spec is PortKeyword.ICMP:
            yield Port("icmp", 0)
        elif spec is PortKeyword.PUBLISHED:
            yield from (port_of(b.protocol, b.container_port) for b in published)
        elif isinstance(spec, PortRange) and not _wide(spec):
            yield from _expanded(spec)


def _bindings(
    family: Family,
    published: tuple[PublishedPort, ...],
    ports: Iterable[PortRange | PortKeyword],
) -> set[tuple[Address | None, Port]]:
    """Return the host ports that lead to these container ports."""
    specs = tuple(ports)
    everything = any(s in (PortKeyword.ALL, PortKeyword.PUBLISHED) for s in specs)
    ranges = [s for s in specs if isinstance(s, PortRange)]
    return {
        (None if b.wildcard else b.host_address, port_of(b.protocol, b.host_port))
        for b in published
        if is_reachable(b, family)
        and (everything or any(r.protocol == b.protocol and b.container_port in r for r in ranges))
    }
