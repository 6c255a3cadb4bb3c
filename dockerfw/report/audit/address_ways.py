"""Ways in by a container's own address: routed by this host, over its bridge, past this host.

Takes an inventory, facts of the host and what stands around its rules; gives `Way`s. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dockerfw.model.foreign import Asked, ForeignTable, rules_of
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Network
from dockerfw.model.net import Address, IPNetwork, Port, family_of
from dockerfw.model.supernets import Supernets
from dockerfw.model.surroundings import Surroundings
from dockerfw.report.audit.row import Path
from dockerfw.report.audit.way import ALL_PORTS, Way, hop, is_near
from dockerfw.report.explain.routes import OUTSIDE, Route
from dockerfw.report.obstacles import STRANGERS
from dockerfw.report.open_ports import Ports, Range, partition
from dockerfw.rules.sources import host_net
from dockerfw.rules.walk import Packet

_UNFILTERED: dict[str, Path] = {"macvlan": "macvlan", "ipvlan": "ipvlan"}
_NO_OUTSIDE = ("bridge", "host", "none", "null", "overlay")
"""Drivers whose networks are ways in by other rows, or none."""
_OTHERS = ("tcp", "udp")
"""Protocols of which all ports that are not listed are asked for."""


class AddressWays:
    """``tables`` are rules of others, of which some are for single ports."""

    def __init__(
        self, facts: HostFacts, around: Surroundings, tables: Iterable[ForeignTable]
    ) -> None:
        self.facts = facts
        self.around = around
        self._anywhere: list[Asked] = []
        by_network: list[tuple[IPNetwork, Asked]] = []
        for asked in {rule.asked for rule in rules_of(tables) if rule.asked.ports}:
            to = asked.destination
            if to is None or to.negated:
                self._anywhere.append(asked)
            else:
                by_network += [(network, asked) for network in to.networks]
        self._by_network = Supernets(by_network)

    def of(
        self, container: Container, network: Network, address: Address, opened: Iterable[Range]
    ) -> Iterator[Way]:
        """Yield the ways to one address of a container, but for those by a port of this host.

        ``opened`` are ports that a policy is about.
        """
        family = family_of(address)
        own = Way(container, "direct", family, ALL_PORTS, at=address, near=is_near(address))
        if network.driver in _UNFILTERED:
            path = _UNFILTERED[network.driver]
            if network.internal:
                remark = f"{network.name} is internal: it leads nowhere"
                yield replace(own, path=path, closed=True, remark=remark)
            else:
                yield replace(own, path=path, remark="no rule of this host sees its packets")
        elif network.driver == "bridge" and network.bridge and family in self.facts.families:
            yield from self._directly(own, network.bridge, address, opened)
            if network.foreign_ports:
                yield self._bridged(own, network)
        elif network.driver not in _NO_OUTSIDE:
            remark = f"what the network driver {network.driver} lets in"
            yield replace(own, path="other network", known=False, remark=remark)

    def _directly(
        self, own: Way, bridge: str, address: Address, opened: Iterable[Range]
    ) -> Iterator[Way]:
        if own.family not in self.around.forwarding:
            remark = f"this host forwards no IPv{own.family}"
            yield replace(own, closed=True, remark=remark)
            return
        routed = {Port(protocol, number) for protocol, number in own.container.routed}
        published = {Port(b.protocol, b.container_port) for b in own.container.ports}
        ranges = [Range(p.protocol, p.number, p.number) for p in (*routed, *published)]
        ranges += [*opened, *self._named(address)]
        named = partition({at: [one] for at, one in enumerate(ranges) if one.protocol != "icmp"})
        for one, _ in named.parts:
            port = Port(str(one.protocol), one.first)
            way = replace(own, path="routed" if port in routed else "direct", ports=Ports((one,)))
            yield _to_container(way, address, port, bridge)
        for protocol in _OTHERS:
            but = frozenset(
                number
                for one, _ in named.parts
                if one.protocol == protocol
                for number in range(one.first, one.last + 1)
            )
            free = next((n for n in range(1, 65536) if n not in but), None)
            if free is not None:
                way = replace(own, ports=Ports((Range(protocol, 0, 65535),), others=True))
                yield _to_container(way, address, Port(protocol, free), bridge, but)

    def _named(self, address: Address) -> Iterator[Range]:
        """Yield the ports of this address of which rules of others may speak apart."""
        for asked in (*self._anywhere, *self._by_network.of(host_net(address))):
            for first, last in asked.ports or ():
                for protocol in (asked.protocol,) if asked.protocol in _OTHERS else _OTHERS:
                    yield Range(protocol, first, last)

    def _bridged(self, own: Way, network: Network) -> Way:
        """Over the bridge: rules see it where br_netfilter is on, and then by that bridge."""
        by = ", ".join(network.foreign_ports)
        seen = self.facts.br_netfilter[0 if own.family == 4 else 1]
        remark = f"from {by} over the bridge no rule sees it (br_netfilter is off)"
        if seen:
            remark = f"who comes over the bridge from {by}: ask dockerfw explain"
        return replace(own, path="bridged", near=True, known=not seen, remark=remark)


def _to_container(
    way: Way, address: Address, port: Port, bridge: str, but: frozenset[int] | None = None
) -> Way:
    """Return the way with packets to a port of a container; with ``but`` to any port but those."""
    arriving, leaving = hop("prerouting", address, port), hop("forward", address, port)
    hops = (arriving, replace(leaving, out_interface=bridge))
    if but is not None:
        hops = (replace(hops[0], port=None, but=but), replace(hops[1], port=None, but=but))
    packet = Packet(OUTSIDE, STRANGERS[way.family], address, port.protocol, port.number)
    return replace(way, hops=hops, route=Route("", "forward", packet))
