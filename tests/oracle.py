"""What a policy means, written a second time from its text: what the compiler is held against.

Takes the same values as the compiler (policy, inventory, facts) and a `Question` about one target
on one path; gives the exact set of source addresses from which a *new* packet passes in mode
``enforce``. It knows no chains, sets or marks, and shares no code with ``rules/compiler.py`` nor
with the selection in ``model/inventory.py``: two readings of one text must agree. Its sets of
addresses are in ``tests/intervals.py``, its reading of the inventory in
``tests/oracle_inventory.py``.

The reading:

* *Inside* is a packet that came in on a Docker bridge from that bridge's own subnet; on a bridge
  with foreign ports only from its containers' own addresses. So is one from a link-local address of
  IPv6, of a container without a name: it is none of those that an allow names, and one of those
  that a deny names, on whatever bridge. (On a bridge with foreign ports it reaches nothing of ours:
  it is a container's or not.) All else is *outside*. Addresses, files and ``any`` match outside
  packets only; ``bridge`` and containers match inside packets only; ``iface:`` matches both.
* Exceptions take addresses out of the outside ones of their own list, and out of nothing else.
* A ``host:`` source is the addresses that its name has, and a ``lan:`` source the networks of its
  interface, each of them an outside one, whatever it comes in on.
* An allow with ``until`` opens nothing from its last second on. What it names is guarded as before.
* *Spoofed* is a source whose way back leads elsewhere than the packet came in, by the routes of the
  host, if it came in on a Docker bridge, or claims an address of a Docker network. It reaches
  nothing of ours. What claims an address of a Docker network is not forwarded anywhere.
* On a Docker bridge a source whose way back is through there is outside: a container routes for it.
* An address of this host is spoofed on a packet that is forwarded or sent to this host.
* A container as a source is its addresses, each on the bridge of its own network; one that shares
  another's network is at the network owner's addresses.
* ``!network:NAME`` takes the whole container out, not only its address there.
* The baseline opens every port of every container address and every host port that leads to such
  a container; an inside packet under ``bridge`` may use any host port but those of host-network
  containers, and reaches addresses that no container has (yet).
* A host port is guarded when a container publishes it (wildcard bindings: on every address), or
  when a rule that names a host-network container exactly writes it down, alone or in a range of
  no more than 1,024 ports (on every address). Host ports that nobody guards are not ours: all
  packets pass but those with an address of this host.
* ``ports`` open the host ports that lead to them, ``published`` opens host ports alone; a binding
  to a loopback address is opened by nothing.
* A host port that nobody guards may lead to a container all the same, by a NAT rule of others that
  the facts know (``behind``): whoever may use that host port (``published``) passes, and whoever
  may reach the container's own address and port, or by ``ports`` the published host port to which
  it leads; a deny of either holds. Where the port is guarded
  it alone decides, besides denies of what is behind it. NAT that is not known opens nothing.
* A deny with ``to`` alone is ``ports = ["all"]``, and closes those ports of an exactly named
  host-network container that some rule writes down. A deny of nothing in particular closes every
  guarded host port and every address of Docker's subnets: a container may stand there next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Literal, TypeAlias

from dockerfw.model.host import HostFacts, PortForward
from dockerfw.model.inventory import Container, Inventory, PublishedPort
from dockerfw.model.net import Address
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    BridgeSource,
    Deny,
    ExceptingSource,
    FileSource,
    HostSource,
    InterfaceSource,
    LanSource,
    Policy,
    PortKeyword,
    PortRange,
    SelectorSource,
    Source,
)
from dockerfw.model.routes import Route
from tests.intervals import NOTHING, IntervalSet
from tests.oracle_inventory import World, addresses_of, glob

Statement: TypeAlias = Allow | Deny

WIDE = 1024
TODAY = 1_800_000_000.0
"""Unix time of questions that do not say when: in January 2027."""
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
LINK_LOCAL = ip_network("fe80::/10")
NOBODY = (ip_network("0.0.0.0/8"), ip_network("::/128"))


# --- questions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """Who may send a new packet to this target, coming in on this interface?

    path            ``host``: to an address of this host (or a broadcast that it hears), whether
                    DNAT or docker-proxy then carries it on; ``direct``: to any other address
    protocol        tcp, udp, sctp, ``icmp`` (an echo request, both families) or another one
    port            the port that it was sent to: host port or container port; 0 where none is
    behind          path ``host``: where NAT that Docker did not make leads it, address and port
    """

    path: Literal["host", "direct"]
    interface: str
    address: Address
    protocol: str
    port: int = 0
    behind: tuple[Address, int] | None = None

    @property
    def family(self) -> Literal[4, 6]:
        return 4 if self.address.version == 4 else 6


def allowed_sources(
    policy: Policy,
    inventory: Inventory,
    facts: HostFacts,
    question: Question,
    now: float = TODAY,
) -> IntervalSet:
    """The source addresses from which this packet passes at that time, all of them and no other.

    Of the facts only addresses and routes of this host matter: policy and inventory say the rest.
    """
    reading = _Reading(policy, inventory, facts, question)
    if question.behind is None:
        return reading.allowed(now)
    address, port = question.behind
    path: Literal["host", "direct"] = "host" if address in facts.addresses else "direct"
    there = replace(question, path=path, address=address, port=port, behind=None)
    inner = _Reading(policy, inventory, facts, there)
    if not inner.ours():
        return reading.everyone - inner.this_host()
    opened = reading.opened(now)
    if _is_forwarded(facts, question, address) and not reading.ours():
        opened |= inner.opened(now, by_container=True)
    return opened - reading.denied() - inner.denied() - inner.spoofed()


def _is_forwarded(facts: HostFacts, question: Question, to: Address) -> bool:
    """Whether NAT that is known leads this port on to there.

    NAT that leads to the host itself counts where no other NAT rule may take one of its packets:
    which of the two a packet meets is not known.
    """
    leading = [f for f in facts.forwards if _takes_port(f, question)]
    here = [f for f in leading if f.address in (None, question.address)]
    if to not in facts.addresses:
        return any(f.to is not None for f in here)
    return any(
        f.to is None
        and not any(
            other is not f and (None in (f.address, other.address) or f.address == other.address)
            for other in leading
        )
        for f in here
    )


def _takes_port(forward: PortForward, question: Question) -> bool:
    """Whether it may lead on what is sent to this port of some address of the host."""
    return (
        forward.family == question.family
        and forward.protocol in (None, question.protocol)
        and (forward.protocol is None or forward.first <= question.port <= forward.last)
    )


def returning_sources(routes: Iterable[Route], interface: str, family: int) -> IntervalSet:
    """The addresses that this host reaches by this interface, link-local ones always."""
    found = NOTHING
    for route in sorted(routes, key=lambda route: route.network.prefixlen):
        here = IntervalSet.of_networks([route.network], family)
        found = found | here if route.interface == interface else found - here
    return (found - IntervalSet.of_networks(NOBODY, family)) | IntervalSet.of_networks(
        [LINK_LOCAL], family
    )


def inside_sources(inventory: Inventory, interface: str, family: int) -> IntervalSet:
    """The source addresses of inside packets on this interface."""
    world = World(inventory)
    inside = NOTHING
    for network in world.bridges_named(interface):
        if network.foreign_ports:
            inside |= IntervalSet.of_addresses(world.addresses_on(network), family)
        else:
            inside |= IntervalSet.of_networks((*network.subnets, LINK_LOCAL), family)
    return inside


def matched_sources(
    sources: Iterable[Source], inventory: Inventory, facts: HostFacts, question: Question
) -> IntervalSet:
    """The addresses that these words of ``from`` mean for such a packet, if it is not spoofed."""
    reading = _Reading(Policy(), inventory, facts, question)
    return reading._sources(sources) - reading.spoofed()


def is_ours(policy: Policy, inventory: Inventory, facts: HostFacts, question: Question) -> bool:
    """Whether the policy judges what is asked for: a guarded host port, a Docker subnet."""
    return _Reading(policy, inventory, facts, question).ours()


class _Reading:
    def __init__(
        self,
        policy: Policy,
        inventory: Inventory,
        facts: HostFacts,
        question: Question,
    ) -> None:
        self.policy = policy
        self.host_addresses = facts.addresses
        self.world = World(inventory)
        self.question = question
        family, interface = question.family, question.interface
        self.everyone = IntervalSet.everything(family)
        self.routes = facts.routes or self.world.routes()
        self.returning = returning_sources(self.routes, interface, family)
        self.on_bridges = list(self.world.bridges_named(interface))
        self.own = IntervalSet.of_networks(
            (subnet for network in self.on_bridges for subnet in network.subnets), family
        )
        self.link_local = NOTHING
        if self.on_bridges:
            self.link_local = IntervalSet.of_networks([LINK_LOCAL], family)
        self.nameless = NOTHING
        if not any(network.foreign_ports for network in self.on_bridges):
            self.nameless = self.link_local
        self.inside = inside_sources(inventory, interface, family)

    def allowed(self, now: float) -> IntervalSet:
        if not self.ours():
            if self.question.path == "host":
                return self.everyone - self.this_host()
            return self.everyone - self.this_host() - self._spoofed_container()
        return self.opened(now) - self.denied() - self.spoofed()

    def opened(self, now: float, *, by_container: bool = False) -> IntervalSet:
        """``by_container``: not by ``published``, which names this very host port."""
        opened = self._baseline()
        for allow in self.policy.allows:
            over = allow.until is not None and now + 1 > allow.until.timestamp()
            by_host_port = by_container and allow.published
            if not over and not by_host_port and self._about(allow):
                opened |= self._sources(allow.sources)
        return opened

    def denied(self) -> IntervalSet:
        denied = NOTHING
        for deny in self.policy.denies:
            if self._about(deny):
                denied |= self._sources(deny.sources)
                if any(isinstance(source, SelectorSource) for source in deny.sources):
                    denied |= self.nameless
        return denied

    # who sends

    def this_host(self) -> IntervalSet:
        question = self.question
        if question.path == "host" and question.address not in self.host_addresses:
            return NOTHING
        return IntervalSet.of_addresses(
            self.host_addresses, question.family
        ) | IntervalSet.of_networks(LOOPBACK, question.family)

    def _spoofed_container(self) -> IntervalSet:
        claimed = (subnet for network in self.world.bridges for subnet in network.subnets)
        claims = IntervalSet.of_networks(claimed, self.question.family)
        return claims - self.own - self.returning

    def spoofed(self) -> IntervalSet:
        spoofed = self._spoofed_container() | self.this_host()
        if self.on_bridges:
            spoofed |= self.everyone - self.returning
            spoofed |= self.link_local - self.nameless
        return spoofed

    def _sources(self, sources: Iterable[Source]) -> IntervalSet:
        matched = NOTHING
        for source in sources:
            matched |= self._source(source)
        return matched

    def _source(self, source: Source) -> IntervalSet:
        family = self.question.family
        outside = self.everyone - self.inside
        match source:
            case AnySource():
                return outside
            case AddressSource(network=network):
                return IntervalSet.of_networks([network], family) & outside
            case (
                FileSource(networks=networks)
                | HostSource(networks=networks)
                | LanSource(networks=networks)
            ):
                return IntervalSet.of_networks(networks, family) & outside
            case ExceptingSource(sources=sources, exceptions=exceptions):
                return self._sources(sources) - self._sources(exceptions)
            case InterfaceSource(name=name):
                return self.everyone if glob(name, self.question.interface) else NOTHING
            case BridgeSource():
                return self.inside
            case SelectorSource(selector=selector):
                addresses = self.world.named_on(selector, self.question.interface)
                return IntervalSet.of_addresses(addresses, family) & self.inside

    # what is asked for

    def ours(self) -> bool:
        if self.question.path == "host":
            return self._published() or self._named_host_port()
        return any(
            self.question.address in returning_sources(self.routes, bridge, self.question.family)
            for bridge in self.world.bridge_names()
        )

    def _published(self) -> bool:
        return any(
            self._leads_here(binding)
            for container in self.world.containers
            for binding in self.world.bindings(container)
        )

    def _leads_here(self, binding: PublishedPort) -> bool:
        question = self.question
        if (binding.protocol, binding.host_port) != (question.protocol, question.port):
            return False
        host = binding.host_address
        if host.version != question.family or host.is_loopback:
            return False
        return host.is_unspecified or host == question.address

    def _named_host_port(self) -> bool:
        """Whether some rule writes this port down for a host-network container that it names."""
        return any(
            self._writes_down_port(statement) and self.world.exactly_named(statement.to)
            for statement in self._statements()
        )

    def _statements(self) -> tuple[Statement, ...]:
        return (*self.policy.allows, *self.policy.denies)

    def _writes_down_port(self, statement: Statement) -> bool:
        return any(
            isinstance(s, PortRange) and s.last - s.first < WIDE and self._in_range(s)
            for s in statement.ports
        )

    def _in_range(self, ports: PortRange) -> bool:
        question = self.question
        return ports.protocol == question.protocol and ports.first <= question.port <= ports.last

    def _baseline(self) -> IntervalSet:
        opened = NOTHING
        if self._baseline_target():
            opened = self._sources(self.policy.baseline)
        if any(isinstance(s, BridgeSource) for s in self.policy.baseline) and not (
            self.question.path == "host" and self._named_host_port()
        ):
            opened |= self.inside
        return opened

    def _baseline_target(self) -> bool:
        for container in self.world.containers:
            endpoints = self.world.endpoints(container)
            if self.question.path == "direct":
                if any(self.question.address in addresses_of(e) for e in endpoints):
                    return True
            elif endpoints and any(map(self._leads_here, self.world.bindings(container))):
                return True
        return False

    def _about(self, statement: Statement) -> bool:
        if not statement.to and not statement.published:
            return True
        if self.question.path == "direct":
            return not statement.published and self._about_direct(statement)
        if statement.published:
            return self._about_published(statement)
        return self._about_bindings(statement) or self._about_host_network(statement)

    def _about_direct(self, statement: Statement) -> bool:
        return any(
            self._names_port(statement, container)
            for container, endpoints in self.world.named(statement.to)
            if any(self.question.address in addresses_of(e) for e in endpoints)
        )

    def _names_port(self, statement: Statement, container: Container) -> bool:
        """Whether ``ports`` hold the container port that is asked for."""
        question = self.question
        for spec in statement.ports or (PortKeyword.ALL,):
            if spec is PortKeyword.ALL:
                return True
            if spec is PortKeyword.ICMP:
                if question.protocol == "icmp":
                    return True
            elif spec is PortKeyword.PUBLISHED:
                if (question.protocol, question.port) in self.world.published_ports(container):
                    return True
            elif isinstance(spec, PortRange) and self._in_range(spec):
                return True
        return False

    def _about_published(self, statement: Statement) -> bool:
        here = any(
            self._in_range(spec.ports) and spec.address in (None, self.question.address)
            for spec in statement.published
        )
        if not here or not statement.to:
            return here
        return any(
            self._leads_here(binding)
            for container, _ in self.world.named(statement.to)
            for binding in self.world.bindings(container)
        )

    def _about_bindings(self, statement: Statement) -> bool:
        return any(
            self._leads_here(binding) and _opens_binding(statement, binding)
            for container, _ in self.world.named(statement.to)
            for binding in self.world.bindings(container)
        )

    def _about_host_network(self, statement: Statement) -> bool:
        named = self.world.exactly_named(statement.to)
        if not named:
            return False
        if self._writes_down_port(statement):
            return True
        if statement.ports:
            return False
        return any(
            self._writes_down_port(other) and named & self.world.exactly_named(other.to)
            for other in self._statements()
        )


def _opens_binding(statement: Statement, binding: PublishedPort) -> bool:
    for spec in statement.ports or (PortKeyword.ALL,):
        if spec in (PortKeyword.ALL, PortKeyword.PUBLISHED):
            return True
        if (
            isinstance(spec, PortRange)
            and spec.protocol == binding.protocol
            and spec.first <= binding.container_port <= spec.last
        ):
            return True
    return False


# --- who is where --------------------------------------------------------------------------------
