"""The plan of a first apply opens to whom the policy lets in, and to nobody else.

Whom `compare` names is compared with the oracle, port by port, for random policies and inventories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from hypothesis import given

from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import AnySource, BridgeSource, Policy
from dockerfw.plan.state import TablesState
from dockerfw.report.diff import compare
from dockerfw.report.reach import Difference, DifferenceKind
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.meaning import Inside, Interface, NetworkList, SourceMatch, read_network
from dockerfw.rules.ruleset import Ruleset
from tests.intervals import NOTHING, IntervalSet
from tests.oracle import Question, allowed_sources, inside_sources, matched_sources
from tests.oracle_inventory import glob
from tests.questions import OWN_ADDRESSES, facts_for
from tests.strategies import fitting, profile

PORTS = (("tcp", 80), ("tcp", 22), ("tcp", 8080), ("udp", 53), ("icmp", 0))


@dataclass(frozen=True)
class Meaning:
    """What the differences of a plan mean for the packets of one question."""

    ruleset: Ruleset
    inside: IntervalSet
    question: Question

    def of(self, found: Iterable[Difference], kind: DifferenceKind) -> IntervalSet:
        together = NOTHING
        for one in found:
            if one.kind == kind and self._is_about(one):
                for source in one.sources:
                    together |= self._source(source)
        return together

    def _is_about(self, one: Difference) -> bool:
        to, asked = one.destination, self.question
        if (to.place == "host") != (asked.path == "host") or to.family != asked.family:
            return False
        if to.where is not None and asked.address not in to.where:
            return False
        within = to.first <= asked.port <= to.last
        return to.protocol is None or (to.protocol == asked.protocol and within)

    def _source(self, source: SourceMatch) -> IntervalSet:
        family = self.question.family
        outside = IntervalSet.everything(family) - self.inside
        match source:
            case IPv4Network() | IPv6Network():
                return IntervalSet.of_networks([source], family) & outside
            case Inside(network=network):
                networks = [ip_network("0.0.0.0/0"), ip_network("::/0")]
                found = networks if network is None else [network]
                return IntervalSet.of_networks(found, family) & self.inside
            case Interface(name=name, cls=cls):
                mine = self.inside if cls == "inside" else outside
                return mine if glob(name, self.question.interface) else NOTHING
            case NetworkList(name=name, cls=cls):
                held = self.ruleset.set(name)
                assert held is not None
                listed = [n for n in map(read_network, held.elements) if n is not None]
                mine = self.inside if cls == "inside" else outside
                return IntervalSet.of_networks(listed, family) & mine
        raise AssertionError(source)


def questions(inventory: Inventory) -> Iterator[Question]:
    """About each container's own addresses, and the host ports that lead to one."""
    for container in inventory.containers:
        for endpoint in inventory.endpoints(container):
            for address in endpoint.addresses:
                for protocol, port in PORTS:
                    yield Question("direct", "", address, protocol, port)
        for binding in container.ports:
            for address in OWN_ADDRESSES:
                host = binding.host_address
                if host.version == address.version and (binding.wildcard or host == address):
                    yield Question("host", "", address, binding.protocol, binding.host_port)


@profile(share=2)
@given(fitting())
def test_the_plan_names_whom_the_policy_lets_in_and_nobody_else(
    pair: tuple[Policy, Inventory],
) -> None:
    policy, inventory = replace(pair[0], mode="enforce"), pair[1]
    facts = replace(facts_for(inventory), forwards=())
    ruleset = compile_ruleset(policy, inventory, facts)
    _, _, found = compare({}, ruleset, {f: TablesState(f) for f in facts.families})
    bridges = any(isinstance(source, BridgeSource) for source in policy.baseline)
    interfaces = ["eth0", "wg0", *(n.bridge for n in inventory.networks if n.bridge)]
    for question in questions(inventory):
        for interface in interfaces:
            asked = replace(question, interface=interface)
            inside = inside_sources(inventory, interface, asked.family)
            meaning = Meaning(ruleset, inside, asked)
            opened = meaning.of(found, "open") - meaning.of(found, "deny")
            possible = matched_sources([AnySource(), BridgeSource()], inventory, facts, asked)
            allowed = allowed_sources(policy, inventory, facts, asked)
            # What the baseline lets in is no line for a port.
            unmentioned = inside if bridges else NOTHING
            assert not (allowed - opened - unmentioned).intervals, asked
            assert not ((opened & possible) - allowed).intervals, asked
