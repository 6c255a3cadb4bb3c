"""The paths from a source to a target, P1 to P10, and the packets that take them.

Takes a `ParsedSource` and a `ParsedTarget`; gives a `Row` for each path, with the verdict on its
packets. Routes, and addresses of this host, share a row unless their verdicts differ. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from dockerfw.model.docker_names import GATEWAY_BRIDGE
from dockerfw.model.foreign import ForeignTable
from dockerfw.model.host import HostFacts, PortForward
from dockerfw.model.inventory import Container, Inventory, Network, PublishedPort
from dockerfw.model.net import Address, Family, Port, family_of
from dockerfw.model.policy import Policy
from dockerfw.report.docker_nat import DockerNat
from dockerfw.report.explain.explanation import Row
from dockerfw.report.explain.reader import ParsedSource, ParsedTarget, network_of
from dockerfw.report.explain.reasons import Decision, Reasons
from dockerfw.report.explain.routes import ANY_HOST, HostPort, Route, Sender
from dockerfw.report.obstacles import docker_writes
from dockerfw.rules.sources import LINK_LOCAL
from dockerfw.rules.targets import is_reachable
from dockerfw.rules.walk import Packet
from dockerfw.text import bracketed, short_port

ONLY_THIS_HOST = "denied: only this host itself reaches it"
HOST_ITSELF = "this host's own port"
"""The path to a host port that no container publishes and no rule guards."""
HOST_ELSEWHERE = f"{HOST_ITSELF}, at its other addresses"
"""The same, where the port is published at some addresses of this host and not at these."""
HOST_UNLESS_LED_ON = f"{HOST_ITSELF}, where NAT of others does not apply"
_ECHO_REQUEST: dict[Family, int] = {4: 8, 6: 128}
_DROPS_DIRECT_ACCESS = 28
"""From this engine on Docker drops what was not sent by its bridge to a container's address."""
_UNFILTERED = ("macvlan", "ipvlan")


class Paths:
    """``local`` are all of this host's own addresses that are known; ``in_force`` False: no policy
    is, and nothing is closed but by others.
    """

    def __init__(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts,
        local: frozenset[Address],
        foreign: tuple[ForeignTable, ...] = (),
        *,
        in_force: bool = True,
    ) -> None:
        self.in_force = in_force
        self.policy = policy
        self.inventory = inventory
        self.facts = facts
        self.local = local
        self.reasons = Reasons(policy, inventory, facts, local, foreign)
        self.nat = DockerNat(foreign, inventory)

    def rows(self, source: ParsedSource, target: ParsedTarget) -> Iterator[Row]:
        """Yield the rows of every sender; none if there is no path. A row may come twice."""
        if source.host:
            yield from self._from_host(target)
            return
        if self._share_network(source.container, target.container):
            yield Row("inside one container's network", 4, True, "allowed: no packet leaves it")
            return
        yield from self._unfiltered(source, target)
        rows = [row for sender in source.senders for row in self._if_spoken(sender, target)]
        yield from rows
        # It may be less than what the container may by its own address, and never is more.
        reached = any(row.allowed for row in rows)
        for sender in source.nameless:
            for row in self._if_spoken(sender, target):
                if not row.path.startswith(HOST_ITSELF) and (row.allowed or not reached):
                    yield replace(row, path=f"{row.path}, from its link-local address")

    def _if_spoken(self, sender: Sender, target: ParsedTarget) -> Iterator[Row]:
        if sender.family in self.facts.families:
            yield from self._from(sender, target)

    def _share_network(self, one: Container | None, other: Container | None) -> bool:
        if one is None or other is None:
            return False
        return self.inventory.network_owner(one).id == self.inventory.network_owner(other).id

    def _from_host(self, target: ParsedTarget) -> Iterator[Row]:
        """P6: dockerfw has no rules in OUTPUT."""
        addresses = [target.address] if target.address else []
        if target.container:
            addresses += [
                a for e in self.inventory.endpoints(target.container) for a in e.addresses
            ]
        families = sorted({a.version for a in addresses}) or [4]
        for version in families:
            family: Family = 4 if version == 4 else 6
            yield Row("from this host", family, True, "allowed: this host reaches its containers")

    def _unfiltered(self, source: ParsedSource, target: ParsedTarget) -> Iterator[Row]:
        """P9: networks that this host's kernel does not forward."""
        if target.container is None:
            return
        shared: set[str] = set()
        if source.container is not None:
            owner = self.inventory.network_owner(source.container)
            shared = {e.network_id for e in owner.endpoints}
        families = {s.family for s in source.senders}
        for endpoint in self.inventory.network_owner(target.container).endpoints:
            network = self.inventory.network(endpoint.network_id)
            if network is None or network.driver in ("bridge", "host", "none", "null"):
                continue
            same = network.id in shared
            for address in endpoint.addresses:
                family = family_of(address)
                if same or (family in families and network.driver in _UNFILTERED):
                    yield Row(
                        f"{network.driver} network {network.name}, to {address}",
                        family,
                        True,
                        f"allowed: {network.driver} networks cannot be filtered here",
                    )

    def _from(self, sender: Sender, target: ParsedTarget) -> Iterator[Row]:
        container = target.container
        if target.host_port:
            yield from self._to_host_port(sender, target)
        elif target.address is not None:
            yield from self._directly(sender, target.address, target)
        elif container is not None and self.inventory.on_host_network(container):
            yield from self._to_host_itself(_host_network_label(target), sender, target)
        elif container is not None:
            for binding in self.inventory.published(container):
                if (binding.container_port, binding.protocol) == (target.port, target.protocol):
                    yield from self._published(sender, binding, container, target)
            for endpoint in self.inventory.endpoints(container):
                for address in endpoint.addresses:
                    yield from self._directly(sender, address, target)
                    if address.version == sender.family:
                        yield from self._leading_to(sender, address, target)

    def _directly(self, sender: Sender, address: Address, target: ParsedTarget) -> Iterator[Row]:
        """P2, P4, P5: to the container's own address."""
        family = sender.family
        if address.version != family:
            return
        home = network_of(self.inventory, address)
        if sender.bridge is None:
            if sender.address.is_link_local and family == 6:
                return  # the kernel never forwards these
            label = f"directly to {address}"
        elif home is None or home.id != sender.bridge.id:
            if sender.address in LINK_LOCAL:
                return  # nor these
            label = f"other bridge, directly to {address}"
        else:
            label = f"same bridge, to {address}"
            if not self.facts.br_netfilter[0 if family == 4 else 1]:
                reason = "allowed: the kernel does not show it (br_netfilter is off)"
                yield Row(label, family, True, reason)
                return
        icmp_type = _ECHO_REQUEST[family] if target.protocol == "icmp" else None
        packet = Packet(
            sender.interface,
            sender.address,
            address,
            target.protocol,
            target.port,
            icmp_type=icmp_type,
        )
        decision = self.reasons.decide(Route("", "forward", packet))
        yield _row(label, family, decision, self._dockers_own(sender, home))

    def _dockers_own(self, sender: Sender, home: Network | None) -> str:
        """Return what Docker's own rules refuse on the way to a container's address."""
        if home is None or (sender.bridge is not None and sender.bridge.id == home.id):
            return ""
        if home.internal:
            return f"the network {home.name} is internal"
        if sender.bridge is not None:
            return "Docker keeps its networks apart"
        major = self.inventory.engine.partition(".")[0]
        drops = major.isdecimal() and int(major) >= _DROPS_DIRECT_ACCESS
        return "Docker drops direct access from engine 28 on" if drops else ""

    # by a port of this host

    def _to_host_port(self, sender: Sender, target: ParsedTarget) -> Iterator[Row]:
        if target.address is not None:
            if target.address.version != sender.family:
                return
            if target.address.is_loopback:
                led_on = tuple(self._from_loopback(sender, target))
                label = f"to {bracketed(target.address)}:{target.port}"
                yield from led_on or (Row(label, sender.family, False, ONLY_THIS_HOST),)
                return
        bindings = [
            (container, binding)
            for container in self.inventory.containers
            for binding in container.ports
            if (binding.host_port, binding.protocol) == (target.port, target.protocol)
            and (target.address is None or _listens_at(binding, target.address))
        ]
        for container, binding in bindings:
            yield from self._published(sender, binding, container, target)
        forwards = [
            forward
            for forward in self.facts.forwards
            if forward.family == sender.family
            and forward.takes(target.address, target.protocol, target.port)
        ]
        for forward in forwards:
            yield from self._led_on(sender, forward, Port(target.protocol, target.port), target)
        blind = [
            forward
            for forward in self.facts.unread_nat
            if forward.family == sender.family
            and forward.takes(target.address, target.protocol, target.port)
        ]
        if blind:
            yield _led_somewhere(sender.family, Port(target.protocol, target.port))
        places = {
            None if binding.wildcard else binding.host_address
            for _, binding in bindings
            if is_reachable(binding, sender.family)
        }
        places |= {forward.address for forward in forwards if not forward.conditional}
        if not places or (None not in places and target.address is None):
            own = _own_path(bindings, (*forwards, *blind))
            for row in self._unpublished(sender, target, own, places):
                yield replace(row, conditional=own == HOST_UNLESS_LED_ON)

    def _from_loopback(self, sender: Sender, target: ParsedTarget) -> Iterator[Row]:
        """From a neighbour: Docker's NAT comes before the kernel looks whose address that is."""
        if self.in_force or not docker_writes(self.reasons.foreign, 4):
            return
        for container in self.inventory.containers:
            for binding in () if sender.bridge else container.ports:
                inner = self._behind(container, sender, binding)
                asked = (binding.host_address, binding.host_port, binding.protocol)
                if asked != (target.address, target.port, target.protocol) or inner is None:
                    continue
                at = f"{binding.host_address}:{short_port(binding.host_port, binding.protocol)}"
                behind = f"{container.name}:{binding.container_port}"
                port = Port(binding.protocol, binding.host_port)
                host_port = HostPort(port, inner, binding.container_port, by_proxy=False)
                for route in host_port.routes(sender, binding.host_address):
                    label = f"published {at} → {behind} (DNAT), from a neighbour"
                    others, refused = self.reasons.by_others(route)
                    yield Row(label, sender.family, True, "", others, refused)

    def _led_on(
        self, sender: Sender, forward: PortForward, port: Port, target: ParsedTarget
    ) -> Iterator[Row]:
        """By NAT that Docker did not make, from one port of this host."""
        behind = forward.port_behind(port.number)
        to = "this host" if forward.to is None else bracketed(forward.to)
        label = f"NAT of others {short_port(port.number, port.protocol)} → {to}:{behind}"
        where = forward.address or target.address if target.host_port else forward.address
        redirected = forward.to is None
        host_port = HostPort(
            port, forward.to, behind, by_proxy=False, redirected=redirected, by_docker=False
        )
        for row in self._at_host(label, sender, where, host_port):
            if forward.conditional:
                yield replace(row, path=f"{row.path}, where it applies", conditional=True)
            else:
                yield row

    def _leading_to(self, sender: Sender, address: Address, target: ParsedTarget) -> Iterator[Row]:
        """By NAT that Docker did not make, to this port of a container."""
        for forward in self.facts.forwards:
            if forward.to != address:
                continue
            if forward.protocol is None or forward.to_port is None:
                number = target.port if forward.to_port in (None, target.port) else None
            else:
                number = forward.first if forward.to_port == target.port else None
            if number and forward.takes(None, target.protocol, number):
                yield from self._led_on(sender, forward, Port(target.protocol, number), target)

    def _published(
        self, sender: Sender, binding: PublishedPort, container: Container, target: ParsedTarget
    ) -> Iterator[Row]:
        """P1, P3, and P5 by published port: one binding, on each host address that matters."""
        family, bound = sender.family, binding.host_address
        if bound.version != family or bound.is_loopback:
            return
        if not binding.wildcard and target.address not in (None, bound):
            return
        inner = self._behind(container, sender, binding)
        number = short_port(binding.host_port, binding.protocol)
        at = f"{bracketed(bound)}:{number}"
        behind = f"{container.name}:" if target.host_port else ""
        leads = f"{number if binding.wildcard else at} → {behind}{binding.container_port}"
        if sender.bridge is not None:
            label = f"{self._nearness(sender.bridge, container)}, by published port {leads}"
        elif inner is None:
            label = f"by docker-proxy {at}"
        else:
            label = f"published {leads} (DNAT)"
        where = target.address if binding.wildcard else bound
        port = Port(binding.protocol, binding.host_port)
        yield from self._at_host(
            label, sender, where, HostPort(port, inner, binding.container_port)
        )

    def _nearness(self, bridge: Network, container: Container) -> str:
        near = any(e.network_id == bridge.id for e in self.inventory.endpoints(container))
        return "same bridge" if near else "other bridge"

    def _behind(
        self, container: Container, sender: Sender, binding: PublishedPort
    ) -> Address | None:
        """Return where Docker's NAT sends this family; None: docker-proxy answers on the host.

        Its DNAT leaves out link-local IPv6 sources (moby: DNAT rules have ``! -s fe80::/10``).
        """
        if sender.family == 6 and sender.address.is_link_local:
            return None
        port = binding.container_port
        found = self.nat.leads_to(container, sender.family, binding.protocol, port)
        return found[0][0] if found else None

    def _unpublished(
        self, sender: Sender, target: ParsedTarget, own: str, but_at: Collection[Address | None]
    ) -> Iterator[Row]:
        """P8 and P10: host ports that no binding leads to; else the port is the host's ``own``.

        ``but_at``: addresses at which something else is behind the port.
        """
        gateway = next((n for n in self.inventory.bridges() if n.name == GATEWAY_BRIDGE), None)
        subnets = [s for s in gateway.subnets if s.version == sender.family] if gateway else []
        if self.reasons.guards(sender.family, target.protocol, target.port):
            yield from self._to_host_itself(_host_network_label(target), sender, target, but_at)
        elif subnets:
            label = f"swarm published {short_port(target.port, target.protocol)}"
            # Stands for the ingress: the inventory has no address of its.
            ingress: Address = subnets[0].network_address + 2
            port = Port(target.protocol, target.port)
            host_port = HostPort(port, ingress, target.port, by_proxy=False)
            yield from self._at_host(label, sender, target.address, host_port, but_at)
        else:
            yield from self._to_host_itself(own, sender, target, but_at)

    def _to_host_itself(
        self,
        label: str,
        sender: Sender,
        target: ParsedTarget,
        but_at: Collection[Address | None] = (),
    ) -> Iterator[Row]:
        host_port = HostPort(Port(target.protocol, target.port))
        yield from self._at_host(label, sender, target.address, host_port, but_at)

    def _at_host(
        self,
        label: str,
        sender: Sender,
        where: Address | None,
        host_port: HostPort,
        but_at: Collection[Address | None] = (),
    ) -> Iterator[Row]:
        """Yield the rows of one host port, at one address or (``where`` None) at any, ``but_at``
        some.

        An address that the policy names has rows of its own where the decisions are others than
        at the address that stands for all others.
        """
        port = host_port.port
        addresses = [where] if where else self._host_addresses(sender.family, port, but_at)
        first: set[Decision] = set()
        for address in addresses:
            routes = host_port.routes(sender, address)
            found = [(route.suffix, self.reasons.decide(route)) for route in routes]
            decisions = {decision for _, decision in found}
            if decisions == first:
                continue
            at = f" at {address}" if first else ""
            first = first or decisions
            if len(decisions) == 1:
                yield _row(f"{label}{at}", sender.family, found[0][1])
                continue
            for suffix, decision in found:
                yield _row(f"{label}{suffix}{at}", sender.family, decision)

    def _host_addresses(
        self, family: Family, port: Port, but: Collection[Address | None]
    ) -> list[Address]:
        """Return one address of this host for all that the policy does not name, then the named;
        ``but`` some. None is left where all of this host's are known and are among these.
        """
        named = {
            spec.address
            for statement in self.policy.statements
            for spec in statement.published
            if spec.address is not None
            and spec.address.version == family
            and spec.ports.protocol == port.protocol
            and port.number in spec.ports
        }.difference(but)
        own = {
            a for a in self.local if a.version == family and not (a.is_loopback or a.is_link_local)
        }
        if own and not own.difference(but):
            return []
        own = own.difference(but)
        others = sorted(
            own - named, key=lambda a: (network_of(self.inventory, a) is not None, int(a))
        )
        here = sorted(named & own if own else named, key=int)
        if others or not here or not own:
            return [others[0] if others else ANY_HOST[family], *here]
        return here


def _own_path(
    bindings: Collection[tuple[Container, PublishedPort]], forwards: Collection[PortForward]
) -> str:
    if not bindings and any(forward.conditional for forward in forwards):
        return HOST_UNLESS_LED_ON
    return HOST_ELSEWHERE if bindings or forwards else HOST_ITSELF


def _led_somewhere(family: Family, port: Port) -> Row:
    """By NAT of others that cannot be read: the ruleset lets nothing in by what is unknown."""
    label = f"NAT of others {short_port(port.number, port.protocol)} → where dockerfw cannot tell"
    reason = "denied where that is a container: dockerfw cannot read this NAT, so it opens nothing"
    return Row(f"{label}, where it applies", family, False, reason, conditional=True)


def _listens_at(binding: PublishedPort, address: Address) -> bool:
    if binding.host_address.version != address.version:
        return False
    return binding.wildcard or binding.host_address == address


def _row(path: str, family: Family, decision: Decision, known: str = "") -> Row:
    """``known`` is what is known of a rule of others that refuses it."""
    allowed, reason, refused = decision.allowed, decision.reason, decision.refused
    if refused and known:
        refused += f": {known}"
    return Row(path, family, allowed, reason, decision.others, refused, rule=decision.rule)


def _host_network_label(target: ParsedTarget) -> str:
    if target.protocol == "icmp":
        return "host network, ping"
    return f"host network, port {short_port(target.port, target.protocol)}"
