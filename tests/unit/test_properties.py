from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dockerfw.compile import compile_ruleset
from dockerfw.host import HostFacts
from dockerfw.inventory import Inventory
from dockerfw.kernelstate import KernelState
from dockerfw.plan import Plan, plan
from dockerfw.policy import Address, Policy
from dockerfw.ruleset import FAMILIES, Family, Hook, Packet, Port, Rule, Ruleset, Seal
from tests.oracle import Question, allowed_sources
from tests.replay import Replay, Tables, seal_passes
from tests.strategies import (
    as_address,
    cut_points,
    facts_for,
    inventories,
    policies,
    profile,
    questions,
)

_SOMEONE = {4: as_address(0, 4), 6: as_address(0, 6)}


@dataclass(frozen=True, slots=True)
class Way:
    """One way on which the kernel may see the packet of a question; its source is left open."""

    hook: Hook
    packet: Packet

    def from_(self, source: Address) -> Packet:
        return replace(self.packet, source=source)


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
        yield Way("forward", packet)
        return
    packet = replace(packet, host_port=(question.address, question.port))
    yield Way("input", packet)
    if question.address not in facts.addresses:
        return
    for address, port in {t for i in inventories for t in _dnat_targets(i, question)}:
        yield Way("forward", replace(packet, destination=address, port=port, dnat=True))


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

    def questions(self, random: Random, count: int) -> list[Question]:
        return questions(self.policy, self.inventory, self.facts, random, count)


def passes(
    ruleset: Ruleset, way: Way, source: Address, situation: Situation
) -> tuple[bool, tuple[Rule, ...]]:
    """Whether chains and seal let it pass, and the rules that it met."""
    packet = way.from_(source)
    outcome = ruleset.walk(way.hook, packet, situation.facts.addresses)
    sealed = seal_passes(
        ruleset.seal, situation.inventory, way.hook, packet, bit=outcome.has_bit
    )
    return outcome.passed and sealed, outcome.path


def assert_agrees(situation: Situation, ruleset: Ruleset, question: Question) -> None:
    family = question.family
    wanted = allowed_sources(
        situation.policy, situation.inventory, situation.facts, question
    )
    ends = {edge for first, last in wanted.intervals for edge in (first, last + 1)}
    edges = situation.edges(family) | network_edges(ruleset, family) | ends
    for number in sorted(edges):
        if number >= 2 ** (32 if family == 4 else 128):
            continue
        source = as_address(number, family)
        for way in ways(question, situation.facts, situation.inventory):
            passed, path = passes(ruleset, way, source, situation)
            assert passed == (source in wanted), (
                f"from {source} {question}\n{way}\n"
                f"the policy {'allows' if source in wanted else 'denies'} it, the rules "
                f"{'let it pass' if passed else 'drop it'}:\n" + "\n".join(map(str, path))
            )


@profile()
@given(policies, inventories(), st.integers(0, 2**32))
def test_the_rules_let_pass_exactly_what_the_policy_means(
    policy: Policy, inventory: Inventory, seed: int
) -> None:
    situation = Situation(policy, inventory, facts_for(inventory))
    ruleset = situation.ruleset()
    for question in situation.questions(Random(seed), 12):
        assert_agrees(situation, ruleset, question)
