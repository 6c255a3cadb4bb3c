from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_network
from random import Random

import pytest
from hypothesis import given, strategies as st

from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    AnySource,
    Deny,
    InterfaceSource,
    Policy,
    PortKeyword,
    PortRange,
    PublishedSpec,
    Selector,
)
from dockerfw.rules.names import end_of
from dockerfw.rules.ruleset import Ruleset
from tests.build import ORIGIN
from tests.intervals import IntervalSet
from tests.oracle import TODAY, Question, allowed_sources, inside_sources, returning_sources
from tests.questions import as_address, facts_for
from tests.replay_seal import hidden_frame_passes
from tests.situations import Situation, network_edges, passes, ways
from tests.strategies import ENDS, fitting, profile


def assert_agrees(
    situation: Situation, ruleset: Ruleset, question: Question, now: float = TODAY
) -> None:
    family = question.family
    wanted = allowed_sources(situation.policy, situation.inventory, situation.facts, question, now)
    ends = {edge for first, last in wanted.intervals for edge in (first, last + 1)}
    edges = situation.edges(family) | network_edges(ruleset, family) | ends
    for number in sorted(edges):
        if number >= 2 ** (32 if family == 4 else 128):
            continue
        source = as_address(number, family)
        for way in ways(question, situation.facts, situation.inventory):
            passed, path = passes(ruleset, way, source, situation.facts, situation.inventory)
            assert passed == (source in wanted), (
                f"from {source} {question}\n{way}\n"
                f"the policy {'allows' if source in wanted else 'denies'} it, the rules "
                f"{'let it pass' if passed else 'drop it'}:\n" + "\n".join(map(str, path))
            )


@profile()
@given(fitting(), st.integers(0, 2**32))
def test_the_rules_let_pass_exactly_what_the_policy_means(
    pair: tuple[Policy, Inventory], seed: int
) -> None:
    policy, inventory = pair
    situation = Situation(policy, inventory, facts_for(inventory))
    ruleset = situation.ruleset()
    random = Random(seed)
    for question in (*situation.questions(random, 12), *situation.led_on(random, 4)):
        assert_agrees(situation, ruleset, question)


@profile(0.5)
@given(fitting(), st.integers(0, 2**32))
def test_a_frame_that_no_rule_sees_passes_only_where_every_packet_would(
    pair: tuple[Policy, Inventory], seed: int
) -> None:
    policy, inventory = pair
    situation = Situation(policy, inventory, facts_for(inventory))
    seal = situation.ruleset().seal
    assert not hidden_frame_passes(seal, from_container=False) or seal.observe
    if seal.observe or not hidden_frame_passes(seal, from_container=True):
        return
    for question in situation.questions(Random(seed), 12):
        family = question.family
        containers = inside_sources(inventory, question.interface, family)
        containers -= IntervalSet.of_addresses(situation.facts.addresses, family)
        containers &= returning_sources(situation.facts.routes, question.interface, family)
        if question.path == "direct":
            wanted = allowed_sources(policy, inventory, situation.facts, question)
            hidden = containers - wanted
            assert not hidden.intervals, f"{question} is open to {hidden.intervals}"


def _ended_by_the_kernel(ruleset: Ruleset, now: float) -> Ruleset:
    """What is left of the sets at that time, when nobody has written anything since."""
    return replace(
        ruleset,
        sets=tuple(
            s if (end := end_of(s.name)) is None or end > now else replace(s, elements=frozenset())
            for s in ruleset.sets
        ),
    )


@profile()
@given(fitting(), st.sampled_from((TODAY, *(end.timestamp() for end in ENDS))), st.integers(0, 999))
def test_a_rule_ends_in_time_with_the_daemon_and_by_the_kernel_alone(
    pair: tuple[Policy, Inventory], now: float, seed: int
) -> None:
    policy, inventory = pair
    facts, random = facts_for(inventory), Random(seed)
    ends = ((*ENDS, ENDS[0], None)[random.randrange(4)] for _ in policy.allows)
    policy = replace(
        policy,
        allows=tuple(replace(a, until=end) for a, end in zip(policy.allows, ends, strict=True)),
    )
    situation = Situation(policy, inventory, facts)
    by_kernel = _ended_by_the_kernel(situation.ruleset(), now)
    by_daemon = replace(situation, policy=policy.without_ended(now)).ruleset()
    for question in situation.questions(random, 12):
        assert_agrees(situation, by_kernel, question, now)
        assert_agrees(situation, by_daemon, question, now)


# --- faults that were found ----------------------------------------------------------------------

_FRONT = Network("id-front", "front", "bridge", "br-front", (ip_network("172.18.0.0/24"),))
_AGENT = Container("id-agent", "agent", host_network=True)
_PORT_80 = (PortRange("tcp", 80, 80),)
_PORT_5432 = (PortRange("tcp", 5432, 5432),)
_WG0 = InterfaceSource("wg0")
_ELSEWHERE = AddressSource(ip_network("203.0.113.0/24"))
_DB = Container(
    "id-db",
    "db",
    endpoints=(Endpoint("front", "id-front", IPv4Address("172.18.0.3")),),
    ports=(PublishedPort(IPv4Address("192.0.2.10"), 5432, 5432, "tcp"),),
)
_TO_AGENT = (Selector("container", "agent"),)
_AT_OTHER = PublishedSpec(PortRange("tcp", 5432, 5432), IPv4Address("192.0.2.11"))


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(
            Policy(allows=(Allow(ORIGIN, (_ELSEWHERE,), to, published=(_AT_OTHER,)),)),
            id=f"published at an address where nobody listens, {name}",
        )
        for name, to in (("narrowed by to", (Selector("container", "db"),)), ("for all", ()))
    ]
    + [
        pytest.param(
            Policy(
                allows=(Allow(ORIGIN, (_ELSEWHERE,), _TO_AGENT, _PORT_80),),
                denies=(Deny(ORIGIN, (_WG0,), to, ports),),
            ),
            id=f"a deny of a host-network container, {name}",
        )
        for name, to, ports in (
            ("by its name alone", _TO_AGENT, ()),
            ("by a wildcard", (Selector("container", "*"),), ()),
            ("by its name and all", _TO_AGENT, (PortKeyword.ALL,)),
            ("by its name and the port", _TO_AGENT, _PORT_80),
        )
    ],
)
def test_rare_cases_mean_what_the_policy_means(policy: Policy) -> None:
    inventory = Inventory((_DB, _AGENT), (_FRONT,))
    situation = Situation(policy, inventory, facts_for(inventory))
    ruleset = situation.ruleset()
    for question in situation.questions(Random(1), 400):
        assert_agrees(situation, ruleset, question)


@pytest.mark.parametrize("denied", [(), (PublishedSpec(PortRange("tcp", 9999, 9999)),)])
def test_nat_of_others_is_judged_by_where_it_leads_unless_the_host_port_is_denied(
    denied: tuple[PublishedSpec, ...],
) -> None:
    policy = Policy(
        baseline=(),
        allows=(Allow(ORIGIN, (_ELSEWHERE,), (Selector("container", "db"),), _PORT_5432),),
        denies=(Deny(ORIGIN, (AnySource(),), (), (), denied),) if denied else (),
    )
    inventory = Inventory((_DB,), (_FRONT,))
    situation = Situation(policy, inventory, facts_for(inventory))
    ruleset = situation.ruleset()
    for port in (9999, 9998, 5432):
        for address in situation.facts.addresses:
            if address.version == 4:
                behind = (IPv4Address("172.18.0.3"), 5432)
                question = Question("host", "eth0", address, "tcp", port, behind)
                assert_agrees(situation, ruleset, question)
