"""A policy on a host, the ways that a packet can take there, and a kernel that moves between two.

For the property tests of the compiler, the planner and the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from random import Random

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, Family, Port
from dockerfw.model.policy import Policy
from dockerfw.model.routes import Route
from dockerfw.plan.planner import plan
from dockerfw.plan.steps import Plan
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.rule import Rule
from dockerfw.rules.ruleset import Ruleset
from dockerfw.rules.walk import Hook, Packet, walk
from tests.oracle import Question, inside_sources, is_ours
from tests.questions import as_address, cut_points, led_on, questions
from tests.replay import IDENTITY, Replay, Tables, foreign
from tests.replay_seal import seal_passes

_SOMEONE = {4: as_address(0, 4), 6: as_address(0, 6)}


@dataclass(frozen=True, slots=True)
class Way:
    """One way on which the kernel may see the packet of a question; its source is left open."""

    hook: Hook
    packet: Packet

    def from_(self, source: Address, facts: HostFacts) -> Packet:
        """With the way back that the routes of this host give it."""
        back = comes_back(facts, self.packet.interface, source)
        return replace(self.packet, source=source, way_back=back)


def way_out(routes: Iterable[Route], address: Address) -> str | None:
    """The interface of the narrowest route that leads there."""
    leading = [r for r in routes if r.network.version == address.version and address in r.network]
    return max(leading, key=lambda r: r.network.prefixlen).interface if leading else None


def comes_back(facts: HostFacts, interface: str, source: Address) -> bool:
    """Whether this host's answer to that source would leave by the interface."""
    if source.version == 6 and source.is_link_local:
        return True
    return way_out(facts.routes, source) == interface and not nobodys(source)


def nobodys(source: Address) -> bool:
    """Whether the kernel takes this for no sender's address."""
    return source in ip_network("0.0.0.0/8" if source.version == 4 else "::/128")


def ways(question: Question, facts: HostFacts, *inventories: Inventory) -> Iterator[Way]:
    """A host port is reached by docker-proxy, and by DNAT to any container that publishes it.

    Docker's DNAT is for this host's own addresses (``addrtype LOCAL``), not for broadcasts.
    """
    packet = Packet(
        interface=question.interface,
        source=_SOMEONE[question.family],
        destination=question.address,
        protocol=question.protocol,
        port=question.port,
        icmp_type=(8 if question.family == 4 else 128) if question.protocol == "icmp" else None,
    )
    if question.path == "direct":
        leaves_by = way_out(facts.routes, question.address) or ""
        yield Way("forward", replace(packet, leaves_by=leaves_by))
        return
    packet = replace(packet, host_port=(question.address, question.port))
    if question.behind is not None:
        address, port = question.behind
        hook: Hook = "input" if address in facts.addresses else "forward"
        leaves_by = "" if hook == "input" else way_out(facts.routes, address) or ""
        led = replace(packet, destination=address, port=port, dnat=True, leaves_by=leaves_by)
        yield Way(hook, led)
        return
    yield Way("input", packet)
    if question.address not in facts.addresses:
        return
    for address, port in {t for i in inventories for t in _dnat_targets(i, question)}:
        leaves_by = way_out(facts.routes, address) or ""
        inner = replace(packet, destination=address, port=port, dnat=True, leaves_by=leaves_by)
        yield Way("forward", inner)


def _dnat_targets(inventory: Inventory, question: Question) -> Iterator[tuple[Address, int]]:
    for container in inventory.containers:
        for binding in container.ports:
            published = (binding.protocol, binding.host_port)
            if published != (question.protocol, question.port):
                continue
            if not binding.wildcard and binding.host_address != question.address:
                continue
            if binding.host_address.version != question.family:
                continue
            for endpoint in inventory.endpoints(container):
                for address in endpoint.addresses:
                    if address.version == question.family:
                        yield address, binding.container_port


def network_edges(ruleset: Ruleset, family: Family) -> set[int]:
    """Where any set of the ruleset begins or ceases to match an address."""
    return {
        edge
        for ipset in ruleset.sets
        if ipset.family == family
        for element in ipset.elements
        for part in element
        if not isinstance(part, Port | str)
        for edge in (int(part.network_address), int(part.broadcast_address) + 1)
        if edge < 2**part.max_prefixlen
    }


@dataclass(frozen=True, slots=True)
class Situation:
    policy: Policy
    inventory: Inventory
    facts: HostFacts

    def ruleset(self) -> Ruleset:
        return compile_ruleset(self.policy, self.inventory, self.facts)

    def edges(self, family: Family) -> set[int]:
        return cut_points(family, self.policy, self.inventory, self.facts)

    def knows(self, address: Address) -> bool:
        """Whether this is an address of a Docker network."""
        subnets = [subnet for n in self.inventory.bridges() for subnet in n.subnets]
        return any(address in subnet for subnet in subnets if subnet.version == address.version)

    def judges(self, question: Question) -> bool:
        return is_ours(self.policy, self.inventory, self.facts, question)

    def questions(self, random: Random, count: int) -> list[Question]:
        return questions(self.policy, self.inventory, self.facts, random, count)

    def led_on(self, random: Random, count: int) -> list[Question]:
        """Not to an address in a Docker network that this host reaches elsewhere: whose NAT leads
        there nobody can tell, and the rules take it for Docker's.
        """
        found = led_on(self.policy, self.inventory, self.facts, random, count)
        bridges = {network.bridge for network in self.inventory.bridges()}
        return [
            question
            for question in found
            if question.behind is None
            or not self.knows(question.behind[0])
            or way_out(self.facts.routes, question.behind[0]) in bridges
        ]


def passes(
    ruleset: Ruleset, way: Way, source: Address, facts: HostFacts, bridges: Inventory
) -> tuple[bool, tuple[Rule, ...]]:
    """Whether chains and seal let it pass on a host with these bridges, and the rules it met."""
    packet = way.from_(source, facts)
    outcome = walk(ruleset, way.hook, packet, facts.addresses)
    sealed = seal_passes(ruleset.seal, bridges, way.hook, packet, bit=outcome.has_bit)
    return outcome.passed and sealed, outcome.path


def planned(kernel: Replay, situation: Situation, ruleset: Ruleset) -> Plan:
    return plan(kernel.state(), ruleset, situation.facts, IDENTITY)


def commit(kernel: Replay, situation: Situation, ruleset: Ruleset) -> None:
    for _ in kernel.run(planned(kernel, situation, ruleset).steps, ruleset.seal):
        pass


def docker_tables() -> Tables:
    return {
        "mangle": {"PREROUTING": [], "INPUT": []},
        "filter": {
            "INPUT": [],
            "FORWARD": foreign("-j DOCKER-USER"),
            "OUTPUT": [],
            "DOCKER-USER": [],
        },
    }


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet, whether it passed before the change and whether it passes after it.

    ``steady``: what it is sent to is judged before and after, or neither. Where a network comes
    or goes, or a host port with denies about, nothing is promised of the moment between.
    """

    way: Way
    source: Address
    before: bool
    after: bool
    steady: bool

    def fault(self, now: bool) -> str | None:
        what = f"{self.way} from {self.source}"
        if now and not (self.before or self.after):
            return f"{what}\npasses, and neither did before nor will after"
        if self.steady and self.before and self.after and not now:
            return f"{what}\nis dropped, and did pass before and will after"
        return None


def interesting_probes(
    old: Situation, new: Situation, before: Ruleset, after: Ruleset, random: Random
) -> list[Probe]:
    """One packet for each pair of ways through the old and the new rules that any can take.

    Left out are addresses of a Docker network that comes or goes on the packet's own bridge:
    they change sides, and no order of writes judges them by both sides' rules at once.
    """
    here = together(old.inventory, new.inventory)
    denies = old.policy.denies or new.policy.denies
    found: dict[object, Probe] = {}
    for question in [*old.questions(random, 6), *new.questions(random, 6)]:
        family = question.family
        edges = old.edges(family) | new.edges(family)
        edges |= network_edges(before, family) | network_edges(after, family)
        was_inside, is_inside = (
            inside_sources(i, question.interface, family) for i in (old.inventory, new.inventory)
        )
        changes_sides = (was_inside | is_inside) - (was_inside & is_inside)
        guard_changes = old.judges(question) != new.judges(question)
        for way in ways(question, new.facts, old.inventory, new.inventory):
            network_changes = old.knows(way.packet.destination) != new.knows(way.packet.destination)
            steady = not network_changes and not (guard_changes and denies)
            for number in sorted(edges):
                source = as_address(number, family)
                if source in changes_sides:
                    continue
                passed, old_path = passes(before, way, source, new.facts, here)
                will_pass, new_path = passes(after, way, source, new.facts, here)
                signature = (way, passed, will_pass, old_path, new_path)
                found.setdefault(signature, Probe(way, source, passed, will_pass, steady))
    return list(found.values())


def together(one: Inventory, other: Inventory) -> Inventory:
    """The bridges of both: what stands on the host while Docker goes from one to the other."""
    return Inventory(networks=(*one.networks, *other.networks))
