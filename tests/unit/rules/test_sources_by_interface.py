"""What holds for every policy, inventory and host of sources by where they came in."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from random import Random

from hypothesis import given, strategies as st

from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Policy
from dockerfw.rules.rule import Drop, Reject
from dockerfw.rules.walk import walk
from tests.oracle import allowed_sources
from tests.questions import as_address, facts_for
from tests.replay_seal import seal_passes
from tests.situations import Situation, ways
from tests.strategies import fitting, profile

LINK_LOCAL = ip_address("fe80::7")


@profile()
@given(fitting(), st.booleans(), st.booleans(), st.integers(0, 2**32))
def test_the_hosts_own_ports_are_never_touched(
    pair: tuple[Policy, Inventory], way_back: bool, labels: bool, seed: int
) -> None:
    """Whatever comes in where, from whomever, but in this host's own name."""
    policy, inventory = pair
    facts = replace(facts_for(inventory), way_back=way_back, labels=labels, forwards=())
    situation = Situation(policy, inventory, facts)
    ruleset, random = situation.ruleset(), Random(seed)
    questions = [q for q in situation.questions(random, 60) if q.path == "host"]
    for question in (q for q in questions if not situation.judges(q)):
        (way,) = ways(question, facts)
        edges = sorted(situation.edges(question.family))
        for number in random.sample(edges, min(len(edges), 20)):
            source = as_address(number, question.family)
            if source in facts.addresses or source.is_loopback:
                continue
            for back in (True, False):
                packet = replace(way.packet, source=source, way_back=back)
                found = walk(ruleset, "input", packet, facts.addresses)
                assert not any(isinstance(r.target, Drop | Reject) for r in found.path)
                assert seal_passes(ruleset.seal, inventory, "input", packet, found.has_bit)


@profile()
@given(fitting(), st.integers(0, 2**32))
def test_a_link_local_source_reaches_no_more_than_each_container_of_its_bridge(
    pair: tuple[Policy, Inventory], seed: int
) -> None:
    policy, inventory = pair
    situation = Situation(policy, inventory, facts_for(inventory))
    bridges = {network.id: network.bridge for network in inventory.bridges()}
    for question in situation.questions(Random(seed), 40):
        allowed = allowed_sources(policy, inventory, situation.facts, question)
        if question.family == 4 or not situation.judges(question) or LINK_LOCAL not in allowed:
            continue
        for container in inventory.containers:
            for endpoint in inventory.endpoints(container):
                if bridges[endpoint.network_id] == question.interface and endpoint.ipv6:
                    assert endpoint.ipv6 in allowed, question
