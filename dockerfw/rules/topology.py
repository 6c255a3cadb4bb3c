"""The sets that say what is where: whose address is whose, which host ports are guarded.

Pure. Takes an inventory, or a part of one, the host-network ports that rules name and the NAT of
others on this host; gives `IPSet`s and guarded ports, whatever the policy allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dockerfw.model.host import PortForward
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Family, IPNetwork, Port, family_of, port as port_of
from dockerfw.rules.names import TOPIC_PHASES, Topic, bridge_set, bridge_sets, topology_set
from dockerfw.rules.ruleset import Element, GuardedPort, IPSet, SetType
from dockerfw.rules.sources import LINK_LOCAL, halves, host_net
from dockerfw.rules.targets import SPAN_OVER, is_reachable

NamedHostPorts = Mapping[str, frozenset[Port]]
"""Container id -> the ports of all rules that name this host-network container."""

_TYPES: Mapping[Topic, SetType] = {
    "own": "hash:net,iface",
    "claimed": "hash:net",
    "bridges": "list:set",
    "bridge": "hash:net,iface",
    "inside": "hash:net,iface",
    "guarded": "hash:net,iface",
    "target": "hash:ip",
    "pub": "hash:net,port",
    "hostnet": "hash:net,port",
    "nat": "hash:net,port",
    "natnet": "hash:net",
}


def topology(
    inventory: Inventory,
    named: NamedHostPorts,
    forwards: Iterable[PortForward],
    family: Family,
    guarded: Iterable[GuardedPort],
) -> list[IPSet]:
    """Return the topology sets of one family; ``guarded`` are what `guarded_ports` gives."""
    subnets = frozenset((subnet, bridge) for bridge, subnet in _subnets(inventory, family))
    elements: dict[Topic, frozenset[Element]] = {
        "own": subnets | frozenset(_nobodys(inventory, family)),
        "claimed": frozenset((subnet,) for subnet, _ in subnets),
        "bridges": frozenset((name,) for name in bridge_sets(family)),
        "inside": frozenset(_inside(inventory, family)),
        "guarded": subnets,
        "target": frozenset(
            (host_net(address),)
            for container in inventory.containers
            for endpoint in inventory.endpoints(container)
            for address in endpoint.addresses
            if address.version == family
        ),
        "pub": frozenset(_published(guarded, family)),
        "hostnet": frozenset(_host_network(inventory, named, family)),
        **_led_on(inventory, forwards, family),
    }
    sets = [_set(topic, family, found) for topic, found in elements.items()]
    bridges = {name: set[Element]() for name in bridge_sets(family)}
    for network in inventory.bridges():
        if network.bridge:
            here = {(half, network.bridge) for half in halves(family)}
            bridges[bridge_set(network.bridge, family)] |= here
    return [*sets, *(_set("bridge", family, frozenset(b), name) for name, b in bridges.items())]


def _set(topic: Topic, family: Family, elements: frozenset[Element], name: str = "") -> IPSet:
    name = name or topology_set(topic, family)
    return IPSet(name, _TYPES[topic], family, TOPIC_PHASES[topic], elements)


def guarded_ports(inventory: Inventory, named: NamedHostPorts) -> set[GuardedPort]:
    """Return the host ports that are closed but to whom a rule lets in, both families."""
    guarded: set[GuardedPort] = set()
    for container in inventory.containers:
        for binding in container.ports:
            address = None if binding.wildcard else binding.host_address
            family = family_of(binding.host_address)
            guarded.add((address, family, port_of(binding.protocol, binding.host_port)))
    for ports in named.values():
        for port in ports:
            guarded |= {(None, 4, port), (None, 6, port)}
    return guarded


def taken_ports(inventory: Inventory, family: Family) -> Iterator[tuple[IPNetwork, Port]]:
    """Yield where on this host containers on bridges publish ports."""
    for container in inventory.containers:
        if not inventory.endpoints(container):
            continue
        for binding in inventory.published(container):
            if is_reachable(binding, family):
                address = None if binding.wildcard else binding.host_address
                for network in everywhere(address, family):
                    yield network, port_of(binding.protocol, binding.host_port)


def host_network_port(
    family: Family, port: Port, taken: Iterable[IPNetwork]
) -> Iterator[tuple[IPNetwork, Port]]:
    """Yield where a named port of a host-network container is its own.

    ``taken``: where others publish it, in any order.
    """
    for network in _without(halves(family), taken):
        yield network, port


def everywhere(address: Address | IPNetwork | None, family: Family) -> tuple[IPNetwork, ...]:
    """Return an address as networks of a set; None is every address."""
    if address is None:
        return halves(family)
    return (host_net(address),) if isinstance(address, Address) else (address,)


def _published(guarded: Iterable[GuardedPort], family: Family) -> Iterator[Element]:
    for address, guarded_family, port in guarded:
        if guarded_family == family:
            for network in everywhere(address, family):
                yield network, port


def _subnets(inventory: Inventory, family: Family) -> Iterator[tuple[str, IPNetwork]]:
    for network in inventory.bridges():
        for subnet in network.subnets:
            if subnet.version == family and network.bridge:
                yield network.bridge, subnet


def _nobodys(inventory: Inventory, family: Family) -> Iterator[Element]:
    """Link-local sources on bridges with foreign ports: a container's or somebody else's."""
    for network in inventory.bridges():
        if network.bridge and network.foreign_ports and family == 6:
            yield LINK_LOCAL, network.bridge


def _inside(inventory: Inventory, family: Family) -> Iterator[Element]:
    """A pure bridge is inside with its subnet, one with foreign ports with its containers."""
    mixed = {n.id: n for n in inventory.bridges() if n.foreign_ports}
    for network in inventory.bridges():
        if network.id not in mixed and network.bridge:
            for subnet in network.subnets:
                if subnet.version == family:
                    yield subnet, network.bridge
    for container in inventory.containers:
        for endpoint in inventory.endpoints(container):
            network_of = mixed.get(endpoint.network_id)
            for address in endpoint.addresses:
                if network_of and network_of.bridge and address.version == family:
                    yield host_net(address), network_of.bridge


def _host_network(inventory: Inventory, named: NamedHostPorts, family: Family) -> Iterator[Element]:
    """The named ports of host-network containers, where no other container publishes them.

    A rule may name a range with somebody else's host port in it.
    """
    ports = frozenset[Port]().union(*named.values())
    taken: dict[Port, list[IPNetwork]] = {}
    for network, port in taken_ports(inventory, family) if ports else ():
        taken.setdefault(port, []).append(network)
    for port in ports:
        yield from host_network_port(family, port, taken.get(port, ()))


def _led_on(
    inventory: Inventory, forwards: Iterable[PortForward], family: Family
) -> dict[Topic, frozenset[Element]]:
    """What NAT of others leads to a network of Docker.

    A range too wide to be expanded is left out: that is closed but to whom a rule names its ports.
    """
    subnets = [subnet for _, subnet in _subnets(inventory, family)]
    ports: set[Element] = set()
    addresses: set[Element] = set()
    for forward in forwards:
        to = forward.to
        if forward.family != family or to is None or not any(to in subnet for subnet in subnets):
            continue
        where = everywhere(forward.address, family)
        if forward.protocol is None:
            addresses |= {(network,) for network in where}
        elif forward.last - forward.first < SPAN_OVER:
            for number in range(forward.first, forward.last + 1):
                ports |= {(network, Port(forward.protocol, number)) for network in where}
    return {"nat": frozenset(ports), "natnet": frozenset(addresses)}


def _without(networks: Iterable[IPNetwork], taken: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """The networks with some of their own parts, or all of them, taken out."""
    left = tuple(networks)
    for part in taken:
        left = tuple(piece for network in left for piece in _excluded(network, part))
    return left


def _excluded(network: IPNetwork, part: IPNetwork) -> tuple[IPNetwork, ...]:
    if not part.overlaps(network):
        return (network,)
    if part.prefixlen <= network.prefixlen:
        return ()
    return tuple(network.address_exclude(part))  # type: ignore[arg-type]
