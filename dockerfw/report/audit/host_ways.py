"""Ways in by a port of this host: published, by docker-proxy, by NAT of others, on its network.

Takes an inventory, facts of the host and what stands around its rules; gives `Way`s. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from dockerfw.model.foreign import ForeignTable, rules_of
from dockerfw.model.host import HostFacts, PortForward
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.net import Address, Family, IPNetwork, Port, family_of
from dockerfw.model.surroundings import Listener, Surroundings
from dockerfw.report.audit.way import ALL_PORTS, Way, hop, is_near, only
from dockerfw.report.docker_nat import DockerNat
from dockerfw.report.explain.routes import ANY_HOST, OUTSIDE, Route
from dockerfw.report.obstacles import STRANGERS
from dockerfw.report.open_ports import Ports, Range
from dockerfw.rules.walk import Packet

DOCKER_PROXY = "docker-proxy"
_ANYWHERE: dict[Family, Address] = {4: IPv4Address(0), 6: IPv6Address(0)}


class HostWays:
    """``tables`` are rules of others. ``by_nat``: families in which Docker's NAT stands. ``named``
    are addresses of this host of which a policy speaks apart.
    """

    def __init__(
        self,
        inventory: Inventory,
        facts: HostFacts,
        around: Surroundings,
        tables: Iterable[ForeignTable],
        by_nat: frozenset[Family],
        named: frozenset[Address],
    ) -> None:
        self.inventory = inventory
        self.facts = facts
        self.around = around
        self.by_nat = by_nat
        self._named = named
        tables = tuple(tables)
        self._nat = DockerNat(tables, inventory)
        self._proxies: dict[Port, list[Listener]] = {}
        for listener in around.listeners or ():
            if listener.program in (DOCKER_PROXY, ""):
                self._proxies.setdefault(listener.port, []).append(listener)
        self._everywhere: dict[Family, list[tuple[Address | None, Address]]] = {}
        self._destinations = {
            network
            for rule in rules_of(tables)
            if rule.asked.destination is not None
            for network in rule.asked.destination.networks
        }

    def published(self, container: Container, binding: PublishedPort) -> Iterator[Way]:
        """Yield the ways by one binding: by Docker's NAT, or else by docker-proxy."""
        bound = binding.host_address
        family = family_of(bound)
        way = Way(
            container,
            "loopback" if bound.is_loopback else "published",
            family,
            only(binding.protocol, binding.container_port),
            Range(binding.protocol, binding.host_port, binding.host_port),
        )
        inners = self._nat.leads_to(container, family, binding.protocol, binding.container_port)
        by_nat = bool(inners) and family in self.by_nat
        # NAT comes before the kernel looks whose address that is; of ::1 it has looked already.
        if bound.is_loopback and (family == 6 or not by_nat):
            why = f"the kernel takes no packet for {bound} from elsewhere"
            yield _shut(replace(way, at=bound, near=True), why)
            return
        port = Port(binding.protocol, binding.host_port)
        for at, host in self._host_addresses(bound):
            here = replace(way, at=at, near=at is not None and is_near(at))
            if not by_nat:
                yield self._by_proxy(here, host, port, binding)
                continue
            for inner, network in inners:
                bridge = None if network is None else network.bridge
                yield self._led_on(here, host, port, (inner, binding.container_port, bridge))

    def forwarded(
        self, container: Container, forward: PortForward, inner: Address, bridge: str
    ) -> Way:
        """Return the way by NAT that Docker did not make, to an address of a container."""
        protocol = forward.protocol or "tcp"
        port = Port(protocol, forward.first or 1)
        behind = forward.port_behind(port.number)
        last = behind if forward.to_port is not None else behind + forward.last - forward.first
        everything = forward.protocol is None
        way = Way(
            container,
            "forwarded",
            forward.family,
            ALL_PORTS if everything else Ports((Range(protocol, behind, last),)),
            None if everything else Range(protocol, forward.first, forward.last),
            forward.address,
            near=forward.address is not None and is_near(forward.address),
            known=not forward.conditional,
            remark="that NAT asks for something that dockerfw does not know",
        )
        _, host = self._host_addresses(forward.address or _ANYWHERE[forward.family])[0]
        return self._led_on(way, host, port, (inner, behind, bridge))

    def _led_on(
        self, way: Way, host: Address, port: Port, behind: tuple[Address, int, str | None]
    ) -> Way:
        """Return the way with packets to a host port that NAT leads to a container."""
        inner, inner_port, bridge = behind
        if way.family not in self.around.forwarding:
            return _shut(way, f"this host forwards no IPv{way.family}")
        hops = (
            hop("prerouting", host, port, local=True),
            replace(
                hop("forward", inner, Port(port.protocol, inner_port)),
                out_interface=bridge,
                dnat=True,
                sent_to=(host, port.number),
            ),
        )
        packet = Packet(
            OUTSIDE, STRANGERS[way.family], inner, port.protocol, inner_port,
            host_port=(host, port.number), dnat=True,
        )  # fmt: skip
        return replace(way, hops=hops, route=Route("", "forward", packet))

    def _by_proxy(self, way: Way, host: Address, port: Port, binding: PublishedPort) -> Way:
        way = replace(way, path="docker-proxy")
        at = None if binding.wildcard else binding.host_address
        if not self._proxy_listens(port, way.family, at):
            return _shut(way, "no NAT of Docker's is there, and no docker-proxy listens")
        way = replace(way, remark="docker-proxy listens there, and no rule refuses it")
        return self._to_host(way, host, port)

    def _proxy_listens(self, port: Port, family: Family, at: Address | None) -> bool:
        if self.around.listeners is None:
            return self.facts.proxy.first_packet != "no proxy"
        return any(
            family in listener.families and listener.address in (None, at)
            for listener in self._proxies.get(port, ())
        )

    @staticmethod
    def _to_host(way: Way, host: Address, port: Port) -> Way:
        hops = (
            hop("prerouting", host, port, local=True),
            hop("input", host, port, local=True),
        )
        packet = Packet(
            OUTSIDE, STRANGERS[way.family], host, port.protocol, port.number,
            host_port=(host, port.number),
        )  # fmt: skip
        return replace(way, hops=hops, route=Route("", "input", packet))

    def _host_addresses(self, bound: Address) -> list[tuple[Address | None, Address]]:
        """Return the addresses of this host that strangers send to: the first one stands for all
        (None) but for those of which rules speak apart, which are listed each by itself.
        """
        if not bound.is_unspecified:
            return [(bound, bound)]
        family = family_of(bound)
        if family not in self._everywhere:
            self._everywhere[family] = self._find_addresses(family)
        return self._everywhere[family]

    def _find_addresses(self, family: Family) -> list[tuple[Address | None, Address]]:
        subnets = [s for n in self.inventory.bridges() for s in n.subnets]
        own = [
            a
            for a in self.facts.addresses
            if a.version == family
            and not (a.is_loopback or a.is_link_local)
            and not any(a in s for s in subnets if s.version == a.version)
        ]
        if not own:
            return [(None, ANY_HOST[family])]
        own.sort(key=lambda a: (a in self._named, is_near(a), int(a)))
        usual = self._spoken_of(own[0])
        apart = [a for a in own[1:] if self._spoken_of(a) != usual]
        return [(None, own[0]), *((a, a) for a in apart)]

    def _spoken_of(self, address: Address) -> tuple[frozenset[IPNetwork], Address | None]:
        """Return what rules and the policy say of it: two with the same are as one."""
        networks = (n for n in self._destinations if n.version == address.version)
        held = frozenset(network for network in networks if address in network)
        return held, address if address in self._named else None

    def on_host_network(self, container: Container) -> Iterator[Way]:
        """Yield the ports at which a container on the host's network, or one with it, listens."""
        if self.around.listeners is None:
            for family in self.facts.families:
                yield Way(
                    container, "host network", family, Ports((), others=True), known=False,
                    remark="which ports it listens at: ss (iproute2) is not installed",
                )  # fmt: skip
            return
        ids = {c.id for c in self.inventory.sharing_network_with(container)}
        for listener in self.around.listeners:
            if listener.container not in ids or is_for_itself(listener):
                continue
            for family in listener.families:
                if family in self.facts.families:
                    yield from self._listening(container, listener, family)

    def _listening(self, container: Container, listener: Listener, family: Family) -> Iterator[Way]:
        port = listener.port
        way = Way(
            container,
            "host network",
            family,
            only(port.protocol, port.number),
            remark="it listens there itself, and no rule refuses it",
        )
        for at, host in self._host_addresses(listener.address or _ANYWHERE[family]):
            near = at is not None and is_near(at)
            yield self._to_host(replace(way, at=at, near=near), host, port)


def _shut(way: Way, why: str) -> Way:
    return replace(way, closed=True, remark=why)


def is_for_itself(listener: Listener) -> bool:
    """Return True if only this host itself reaches it."""
    return listener.address is not None and listener.address.is_loopback
