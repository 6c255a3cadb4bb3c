"""The questions worth asking of a policy and an inventory, and a host that fits them. Pure.

Takes random numbers where there is a choice; gives `Question`s about the ports and addresses that
somebody publishes or names, and beside them, and the numbers at which a source may begin to mean
something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_network
from random import Random
from typing import Literal, TypeAlias

from dockerfw.model.host import HostFacts, PortForward
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, IPNetwork
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    Deny,
    FileSource,
    HostSource,
    LanSource,
    Policy,
    PortRange,
    parts,
)
from dockerfw.model.routes import Route
from tests.oracle import Question

OUTSIDE_INTERFACES = ("eth0", "wg0", "br-lan")
OWN_ADDRESSES: tuple[Address, ...] = (
    IPv4Address("192.0.2.10"),
    IPv4Address("192.0.2.11"),
    IPv6Address("2001:db8:f::10"),
)
HEARD: tuple[Address, ...] = (IPv4Address("255.255.255.255"), IPv6Address("ff02::1"))
"""Destinations that docker-proxy hears without their being this host's own."""
ELSEWHERE: tuple[Address, ...] = (IPv4Address("198.51.100.200"), IPv6Address("2001:db8:e::5"))
"""Hosts that this one routes to and that are no container's."""

ROUTES = tuple(
    Route(ip_network(network), interface)
    for network, interface in (
        ("0.0.0.0/0", "eth0"),
        ("::/0", "eth0"),
        ("10.0.0.0/8", "wg0"),
        # Parts of a Docker network, see ``tests/strategies.py``.
        ("198.51.100.0/24", "eth0"),
        ("2001:db8:11::/48", "wg0"),
        # Clients of a container that routes for them.
        ("203.0.113.0/25", "br-front"),
        ("2001:db8:2::/48", "br-front"),
    )
)
"""Besides those to Docker's networks."""

_Target: TypeAlias = tuple[bool, Address, str, int]
"""On the host path or not, address, protocol, port."""


def facts_for(*inventories: Inventory) -> HostFacts:
    """A host with the gateways of all these networks."""
    gateways = {
        subnet.network_address + 1
        for inventory in inventories
        for network in inventory.networks
        if network.bridge
        for subnet in network.subnets
    }
    addresses = frozenset({*OWN_ADDRESSES, *gateways})
    to_docker = {
        Route(subnet, network.bridge)
        for inventory in inventories
        for network in inventory.networks
        if network.bridge
        for subnet in network.subnets
    }
    return HostFacts(
        addresses=addresses,
        routes=(*ROUTES, *to_docker),
        forwards=tuple(_forwards(inventories)),
    )


def _forwards(inventories: Iterable[Inventory]) -> Iterator[PortForward]:
    """NAT of others. Where in a network of Docker it leads is no matter: rules go by the packet."""
    by_family = {
        s.version: s.network_address + 2
        for inventory in inventories
        for network in inventory.bridges()
        for s in network.subnets
    }
    yield PortForward(4, OWN_ADDRESSES[0], "tcp", 9997, 9997, None, 8080)
    yield PortForward(6, None, "tcp", 9997, 9997, None, 8080)
    if to := by_family.get(4):
        yield PortForward(4, None, "tcp", 9999, 9999, to)
        yield PortForward(4, OWN_ADDRESSES[0], "udp", 50, 70, to)
        yield PortForward(4, OWN_ADDRESSES[1], None, 0, 0, to)
    if to := by_family.get(6):
        yield PortForward(6, OWN_ADDRESSES[2], "tcp", 9990, 9999, to)


def questions(
    policy: Policy, inventory: Inventory, facts: HostFacts, random: Random, count: int
) -> list[Question]:
    """That many questions, most of them about ports that somebody publishes or names."""
    targets = [*_host_targets(policy, inventory, facts), *_direct_targets(policy, inventory)]
    named = _named_ports(policy) if any(c.host_network for c in inventory.containers) else set()
    ours = [t for t in targets if _of_interest(inventory, named, t)]
    bridges = [n.bridge for n in inventory.networks if n.bridge]
    interfaces = (*OUTSIDE_INTERFACES, *bridges)
    found = []
    for _ in range(count):
        pool = ours if ours and random.random() < 0.9 else targets
        host, address, protocol, port = random.choice(pool)
        path: Literal["host", "direct"] = "host" if host else "direct"
        found.append(Question(path, random.choice(interfaces), address, protocol, port))
    return found


def led_on(
    policy: Policy, inventory: Inventory, facts: HostFacts, random: Random, count: int
) -> list[Question]:
    """That many questions about ports of this host that NAT of others leads to a container."""
    targets = [t for t in _direct_targets(policy, inventory) if t[3]]
    ours = [t for t in targets if _of_interest(inventory, set(), t)]
    led = [("tcp", 9999), ("tcp", 9999), ("tcp", 9998), ("udp", 53)]
    published = [(b.protocol, b.host_port) for c in inventory.containers for b in c.ports]
    # Docker's bridges pass a named port of a host-network container by their baseline.
    on_host = any(c.host_network for c in inventory.containers)
    ports = [p for p in (*led, *published) if not (on_host and p in _named_ports(policy))]
    interfaces = (*OUTSIDE_INTERFACES, *(n.bridge for n in inventory.networks if n.bridge))
    found = []
    if not on_host and _plain(policy, inventory):
        own = sorted((a for a in facts.addresses if a.version == 4), key=_key)
        here, interface = random.choice(own), random.choice(interfaces)
        found.append(Question("host", interface, here, "tcp", 9997, (here, 8080)))
    for _ in range(count if ports else 0):
        _, to, _, to_port = random.choice(ours or targets)
        addresses = [a for a in facts.addresses if a.version == to.version]
        address = random.choice(sorted(addresses, key=_key))
        protocol, port = random.choice(ports)
        interface = random.choice(interfaces)
        found.append(Question("host", interface, address, protocol, port, (to, to_port)))
    return found


def _plain(policy: Policy, inventory: Inventory) -> bool:
    """Whether it is one and the same at which address of the host a packet arrives."""
    bindings = [b for c in inventory.containers for b in c.ports if b.host_port == 8080]
    specs = [spec for deny in policy.denies for spec in deny.published]
    return all(b.wildcard for b in bindings) and all(s.address is None for s in specs)


def _of_interest(inventory: Inventory, named: set[tuple[str, int]], target: _Target) -> bool:
    """A host port that is published or that a rule may name, or the address of a container."""
    host, address, protocol, port = target
    if not host:
        return any(address in e.addresses for c in inventory.containers for e in c.endpoints)
    return (protocol, port) in named or any(
        (protocol, port) == (b.protocol, b.host_port) and b.host_address.version == address.version
        for c in inventory.containers
        for b in c.ports
    )


def _host_targets(policy: Policy, inventory: Inventory, facts: HostFacts) -> Iterator[_Target]:
    ports: set[tuple[str, int]]
    ports = {(b.protocol, b.host_port) for c in inventory.containers for b in c.ports}
    ports |= _edges(spec.ports for rule in _rules(policy) for spec in rule.published)
    ports |= _named_ports(policy)
    ports.add(("tcp", 22))
    for address in (*sorted(facts.addresses, key=_key), *HEARD):
        for protocol, port in sorted(ports):
            yield True, address, protocol, port


def _direct_targets(policy: Policy, inventory: Inventory) -> Iterator[_Target]:
    ports: set[tuple[str, int]]
    ports = {(b.protocol, b.container_port) for c in inventory.containers for b in c.ports}
    ports |= {port for c in inventory.containers for port in c.routed} | _named_ports(policy)
    ports |= {("tcp", 22), ("icmp", 0), ("esp", 0)}
    addresses = {a for c in inventory.containers for e in c.endpoints for a in e.addresses}
    unused = {s.network_address + 200 for n in inventory.networks for s in n.subnets}
    for address in sorted({*addresses, *unused, *ELSEWHERE}, key=_key):
        for protocol, port in sorted(ports):
            yield False, address, protocol, port


def _rules(policy: Policy) -> tuple[Allow | Deny, ...]:
    return (*policy.allows, *policy.denies)


def _named_ports(policy: Policy) -> set[tuple[str, int]]:
    specs = (spec for rule in _rules(policy) for spec in rule.ports)
    return _edges(spec for spec in specs if isinstance(spec, PortRange))


def _edges(ranges: Iterable[PortRange]) -> set[tuple[str, int]]:
    """The first and last port of each range, and the ports just outside."""
    return {
        (r.protocol, port)
        for r in ranges
        for port in (r.first - 1, r.first, r.last, r.last + 1)
        if 0 < port < 65536
    }


def _key(address: Address) -> tuple[int, int]:
    return address.version, int(address)


def cut_points(family: int, policy: Policy, inventory: Inventory, facts: HostFacts) -> set[int]:
    """Where a source may begin to mean something else: the ends of all networks named anywhere."""
    networks: list[IPNetwork] = [s for n in inventory.networks for s in n.subnets]
    every_source = [s for rule in _rules(policy) for s in rule.sources]
    for source in parts((*policy.baseline, *every_source)):
        if isinstance(source, AddressSource):
            networks.append(source.network)
        elif isinstance(source, FileSource | HostSource | LanSource):
            networks += source.networks
    addresses = {a for c in inventory.containers for e in c.endpoints for a in e.addresses}
    networks += [ip_network(a) for a in (*facts.addresses, *addresses)]
    networks += [route.network for route in facts.routes]
    networks += [ip_network(n) for n in ("127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128")]
    networks += [ip_network("fe80::/10"), ip_address_space(family)]
    return {
        edge
        for n in networks
        if n.version == family
        for edge in (int(n.network_address), int(n.broadcast_address) + 1)
        if edge < 2**n.max_prefixlen
    }


def ip_address_space(family: int) -> IPNetwork:
    return ip_network("0.0.0.0/0" if family == 4 else "::/0")


def as_address(number: int, family: int) -> Address:
    return IPv4Address(number) if family == 4 else IPv6Address(number)
