"""What travels as an answer passes if a container began, and else to whom it may begin at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from hypothesis import given, strategies as st

from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address
from dockerfw.model.policy import Policy
from dockerfw.rules.ruleset import Ruleset
from dockerfw.rules.walk import Packet, walk
from tests.oracle import Question
from tests.oracle_answers import First, heard_sources
from tests.questions import as_address, facts_for
from tests.replay_seal import label_of, seal_passes
from tests.situations import Situation, comes_back, network_edges, way_out
from tests.strategies import fitting, profile

_PORTS = (53, 80, 5432, 8080, 40000, 50000)


def _questions(situation: Situation, random: Random) -> Iterator[Question]:
    """About ports of containers, of any protocol, and who may answer them."""
    for question in situation.questions(random, 20):
        ports = (question.port, *_PORTS)
        if question.path == "direct" and situation.judges(question):
            yield replace(
                question,
                protocol=random.choice(("tcp", "udp")),
                port=random.choice(ports) or 80,
            )


def _firsts(situation: Situation, question: Question, random: Random) -> Iterator[First]:
    homes = [
        network.bridge
        for network in situation.inventory.bridges()
        for subnet in network.subnets
        if network.bridge
        and subnet.version == question.address.version
        and question.address in subnet
    ]
    for interface in ("eth0", *homes):
        for begins in (True, False):
            yield First(interface, random.choice(_PORTS), begins)


def _heard(
    situation: Situation,
    ruleset: Ruleset,
    question: Question,
    first: First,
    peer: Address,
    *,
    crossing: bool,
) -> bool:
    facts, inventory = situation.facts, situation.inventory
    sent = Packet(
        interface=first.interface,
        source=question.address,
        destination=peer,
        protocol=question.protocol,
        port=first.port,
        begins=first.begins,
        source_port=question.port,
    )
    label = label_of(ruleset.seal, inventory, sent)
    packet = Packet(
        interface=question.interface,
        source=peer,
        destination=question.address,
        protocol=question.protocol,
        port=question.port,
        reply=label is not None,
        labels=label or frozenset(),
        begins=crossing,
        source_port=first.port,
        way_back=comes_back(facts, question.interface, peer),
        leaves_by=way_out(facts.routes, question.address) or "",
    )
    outcome = walk(ruleset, "forward", packet, facts.addresses)
    sealed = seal_passes(ruleset.seal, inventory, "forward", packet, bit=outcome.has_bit)
    return outcome.passed and sealed


def _unreachable(situation: Situation, interface: str, peer: Address) -> bool:
    """Whether it is an address of this bridge's own that this host reaches elsewhere."""
    own = (s for n in situation.inventory.bridges() if n.bridge == interface for s in n.subnets)
    return any(peer in s for s in own) and not comes_back(situation.facts, interface, peer)


@profile(share=0.5)
@given(fitting(), st.integers(0, 2**32))
def test_who_is_heard_is_who_was_asked_or_may_begin(
    pair: tuple[Policy, Inventory], seed: int
) -> None:
    policy, inventory = pair
    situation, random = Situation(policy, inventory, facts_for(inventory)), Random(seed)
    ruleset = situation.ruleset()
    for question in _questions(situation, random):
        edges = situation.edges(question.family) | network_edges(ruleset, question.family)
        for first in _firsts(situation, question, random):
            for crossing in (False, True):
                wanted = heard_sources(
                    policy, inventory, situation.facts, question, first, crossing=crossing
                )
                for number in sorted(edges):
                    if number >= 2 ** (32 if question.family == 4 else 128):
                        continue
                    peer = as_address(number, question.family)
                    if _unreachable(situation, question.interface, peer):
                        continue
                    heard = _heard(situation, ruleset, question, first, peer, crossing=crossing)
                    assert heard == (peer in wanted), (question, first, crossing, peer)
