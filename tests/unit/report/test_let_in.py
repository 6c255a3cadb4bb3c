"""The rule that is proposed for a denial lets its source in, or none is and the reason says why."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random

import pytest
from hypothesis import given, strategies as st

from dockerfw.model.denial import Denial
from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Inventory
from dockerfw.model.net import Address, IPNetwork, Port
from dockerfw.model.policy import InterfaceSource, Policy
from dockerfw.report.denied import Row
from dockerfw.report.explain.reasons import NOTHING_ALLOWS
from dockerfw.report.let_in import (
    ALLOWED_NOW,
    GONE,
    NO_SENDER,
    NOBODY_PUBLISHES,
    ONLY_ALL,
    STARTED_LATER,
    THIS_HOST,
    TOLD_APART,
    TWO_NETWORKS,
    UNNAMED,
    Reader,
)
from tests import build
from tests.oracle import Question, allowed_sources, matched_sources
from tests.policy_text import read
from tests.questions import as_address, cut_points, facts_for
from tests.situations import Situation, comes_back
from tests.strategies import fitting, profile
from tests.unit.report.shop import policy

SHOP = build.inventory(
    build.network("front", "172.18.0.0/16", "fd00:18::/64"),
    build.network("half", "172.19.0.0/16", "fd00:19::/80"),
    build.network("other half", "172.20.0.0/16", "fd00:19:0:0:1::/80"),
    build.network('"odd', "172.21.0.0/16", "fd00:21::/64"),
    build.container("web", "front 172.18.0.2 fd00:18::2", published=("8080:80", "8443:443")),
    build.container("db", "front 172.18.0.3 fd00:18::3"),
    build.container("odd", '"odd 172.21.0.2 fd00:21::2'),
    build.container("agent", host_network=True),
)
POLICY = policy(
    """
    [defaults]
    baseline = []
    [sources]
    office = ["198.51.100.0/24", "2001:db8:10::/48"]
    [[allow]]
    to = "web"
    ports = 80
    from = "office"
    [[allow]]
    to = "web"
    ports = 443
    from = ["2001:db8:20::/65", "2001:db8:30::7"]
    [[deny]]
    from = ["192.0.2.66", "2001:db8:40:0:8000::/65"]
    [[allow]]
    to = "agent"
    ports = 9100
    from = "198.51.100.9"
    """
)
FACTS = HostFacts(
    br_netfilter=(True, True),
    addresses=frozenset(map(ip_address, ("203.0.113.1", "172.18.0.1", "2001:db8:1::1"))),
)


def denial(source: IPNetwork, to: Address, port: Port) -> Denial:
    return Denial(source, to, port, 1, 60, 90, 100)


def row(source: str, to: str, port: str, inventory: Inventory = SHOP) -> Row:
    number, _, protocol = port.partition("/")
    where = Port(protocol, int(number))
    return Reader(POLICY, inventory, FACTS).row(denial(ip_network(source), ip_address(to), where))


@pytest.mark.parametrize(
    "source, to, port, what",
    [
        ("203.0.113.9", "172.18.0.3", "5432/tcp", ('to    = "db"', "ports = [5432]")),
        ("198.51.100.7", "172.18.0.2", "53/udp", ('to    = "web"', 'ports = ["53/udp"]')),
        ("203.0.113.9", "172.18.0.2", "0/icmp", ('to    = "web"', 'ports = ["icmp"]')),
        ("203.0.113.9", "203.0.113.1", "8080/tcp", ("published = [8080]",)),
        ("203.0.113.9", "203.0.113.1", "9100/tcp", ('to    = "agent"', "ports = [9100]")),
        ("2001:db8:7::/64", "fd00:18::3", "5432/tcp", ('to    = "db"', "ports = [5432]")),
        # Of a /64 some addresses are allowed.
        ("2001:db8:20::/64", "fd00:18::2", "443/tcp", ('to    = "web"', "ports = [443]")),
        ("2001:db8:30::/64", "fd00:18::2", "443/tcp", ('to    = "web"', "ports = [443]")),
    ],
)
def test_a_denial_has_the_lines_that_would_let_it_in(
    source: str, to: str, port: str, what: tuple[str, ...]
) -> None:
    found = row(source, to, port)
    assert found.reason == NOTHING_ALLOWS
    assert found.remedy == ("[[allow]]", *what, f'from  = ["{source}"]')


def test_a_container_is_let_in_by_its_name_and_a_network_of_some_by_its() -> None:
    assert row("172.18.0.2", "172.18.0.3", "5432/tcp").remedy[-1] == 'from  = ["container:web"]'
    assert row("fd00:18::/64", "fd00:18::3", "5432/tcp").remedy[-1] == 'from  = ["network:front"]'


@pytest.mark.parametrize(
    "source, to, port, reason",
    [
        ("192.0.2.66", "172.18.0.2", "80/tcp", "denied by config.toml:14 (from 192.0.2.66)"),
        # A deny that is about a part of the /64 alone.
        (
            "2001:db8:40::/64", "fd00:18::2", "80/tcp",
            "denied by config.toml:14 (from 2001:db8:40:0:8000::/65)",
        ),
        ("198.51.100.7", "172.18.0.2", "80/tcp", ALLOWED_NOW),
        ("203.0.113.9", "172.18.0.77", "80/tcp", GONE),
        ("203.0.113.9", "172.30.0.2", "80/tcp", GONE),
        ("203.0.113.9", "172.18.0.2", "0/47", ONLY_ALL),
        ("203.0.113.9", "172.18.0.2", "0/tcp", ONLY_ALL),
        ("203.0.113.9", "172.18.0.2", "0/icmp-timestamp-request", ONLY_ALL),
        ("192.0.2.66", "172.18.0.2", "0/47", "denied by config.toml:14 (from 192.0.2.66)"),
        ("172.18.0.99", "172.18.0.2", "80/tcp", NO_SENDER),
        ("203.0.113.1", "172.18.0.2", "80/tcp", THIS_HOST),
        ("fd00:19::/64", "fd00:18::2", "80/tcp", TWO_NETWORKS),
        ("fd00:21::/64", "fd00:18::2", "80/tcp", UNNAMED),
    ],
)  # fmt: skip
def test_where_no_rule_would_help_the_reason_is_told(
    source: str, to: str, port: str, reason: str
) -> None:
    found = row(source, to, port)
    assert (found.reason, found.remedy) == (reason, ())


def test_a_port_that_nobody_publishes_any_more_is_not_opened() -> None:
    without = replace(SHOP, containers=SHOP.containers[1:3])
    found = row("203.0.113.9", "203.0.113.1", "8080/tcp", without)
    assert (found.reason, found.remedy) == (NOBODY_PUBLISHES, ())


NO_ONES = (
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "255.255.255.255", "250.1.2.3",
    "::/64", "100::/64", "fe80::/64", "ff02::/64",
)  # fmt: skip


@pytest.mark.parametrize("source", NO_ONES)
def test_nobody_in_particular_is_let_in(source: str) -> None:
    found = row(source, "fd00:18::2" if ":" in source else "172.18.0.2", "80/tcp")
    assert found.reason.endswith("so no rule is proposed for it")
    assert found.remedy == ()


def test_where_a_policy_tells_many_addresses_of_a_network_apart_that_is_said() -> None:
    many = ", ".join(f'"2001:db8:50::{2 * n:x}"' for n in range(1, 20))
    strict = policy(f'[[allow]]\nto = "web"\nports = 443\nfrom = [{many}]\n')
    where = denial(ip_network("2001:db8:50::/64"), ip_address("fd00:18::2"), Port("tcp", 80))
    assert Reader(strict, SHOP, FACTS).row(where).reason == TOLD_APART


@profile(0.5)
@given(fitting(), st.integers(0, 2**32))
def test_what_is_proposed_is_a_policy_and_lets_that_source_in_at_that_port(
    pair: tuple[Policy, Inventory], seed: int
) -> None:
    given_policy, inventory = pair
    facts = facts_for(inventory)
    random = Random(seed)
    reader = Reader(given_policy, inventory, facts)
    for question in Situation(given_policy, inventory, facts).questions(random, 8):
        for source in _denied(given_policy, inventory, facts, question, random):
            found = reader.row(_recorded(question, source))
            assert found.reason
            if not found.remedy:
                assert found.reason != NOTHING_ALLOWS
                continue
            added = read("\n".join(found.remedy))
            assert not added.warnings
            both = replace(given_policy, allows=(*given_policy.allows, *added.allows))
            known = {a for c in inventory.containers for e in c.endpoints for a in e.addresses}
            if source not in known and found.remedy[-1].startswith('from  = ["network:'):
                continue  # a container's own address is what it is about, and this is nobody's
            allowed = allowed_sources(both, inventory, facts, question)
            assert int(source) in allowed, (question, source, found)


def _recorded(question: Question, source: Address) -> Denial:
    whole = ip_network((int(source), 64), strict=False) if source.version == 6 else None
    return denial(
        whole or ip_network(source), question.address, Port(question.protocol, question.port)
    )


def _denied(
    policy: Policy, inventory: Inventory, facts: HostFacts, question: Question, random: Random
) -> list[Address]:
    """Some who are denied, and came in where answers to them leave: a record tells neither whether
    a source is spoofed nor by which interface it came.
    """
    allowed = allowed_sources(policy, inventory, facts, question)
    anyone = (InterfaceSource(question.interface),)
    true = matched_sources(anyone, inventory, facts, question)
    edges = sorted(cut_points(question.family, policy, inventory, facts))
    numbers = (n for n in edges if n in true and n not in allowed)
    addresses = [as_address(n, question.family) for n in numbers]
    back = [a for a in addresses if comes_back(facts, question.interface, a)]
    return random.sample(back, min(6, len(back)))


def test_of_what_was_started_later_no_denial_before_is_its_own() -> None:
    db = next(c.id for c in SHOP.containers if c.name == "db")
    before = denial(ip_network("203.0.113.9"), ip_address("172.18.0.3"), Port("tcp", 5432))
    found = Reader(POLICY, SHOP, FACTS, {db: 101.0}).row(before)
    assert found.text == "203.0.113.9 → 172.18.0.3:5432/tcp"
    assert (found.reason, found.remedy) == (STARTED_LATER.format("db"), ())
    assert Reader(POLICY, SHOP, FACTS, {db: 100.0}).row(before).container == "db"
