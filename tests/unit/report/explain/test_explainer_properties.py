"""For any policy: rows agree with the oracle, and the line that is named decides."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import assume, given, strategies as st

from dockerfw.model.inventory import Inventory
from dockerfw.model.policy import Allow, AnySource, BridgeSource, Deny, Origin, Policy, PortRange
from dockerfw.report.explain import explain
from dockerfw.text import bracketed
from tests.oracle import Question, allowed_sources
from tests.questions import OWN_ADDRESSES, facts_for
from tests.strategies import inventories, policies, profile
from tests.unit.report.explain.scene import reasons

SOURCES = {
    4: ("198.51.100.7", "203.0.113.9", "172.18.0.2", "172.19.0.3", "192.0.2.77"),
    6: ("2001:db8:10::7", "2001:db8:20::7", "fd00:18::2", "2001:db8:2::9", "fe80::7"),
}
INTERFACES = ("eth0", "wg0", "br-front", "docker0")


def numbered(policy: Policy) -> Policy:
    """Every statement on a line of its own."""
    allows = tuple(replace(a, origin=Origin("config.toml", n)) for n, a in enumerate(policy.allows))
    denies = tuple(
        replace(d, origin=Origin("config.toml", 100 + n)) for n, d in enumerate(policy.denies)
    )
    return replace(policy, allows=allows, denies=denies)


def small(policy: Policy, inventory: Inventory) -> bool:
    """Whether no rule names all ports of a host-network container: those stand one by one."""
    on_host = {c.name for c in inventory.containers if inventory.on_host_network(c)}
    statements: tuple[Allow | Deny, ...] = (*policy.allows, *policy.denies)
    return not any(
        isinstance(spec, PortRange) and spec.last - spec.first > 1000 and selector.name in on_host
        for statement in statements
        for spec in statement.ports
        for selector in statement.to
    )


def decided_alone(policy: Policy, reason: str) -> Policy:
    """The policy with the one statement that ``reason`` names."""
    number = int(reason.partition("config.toml:")[2].split(" ")[0])
    if number < 100:
        return Policy(baseline=(), allows=(policy.allows[number],))
    return Policy(baseline=(BridgeSource(), AnySource()), denies=(policy.denies[number - 100],))


@profile()
@given(policies, inventories(), st.data())
def test_direct_rows_agree_with_the_meaning_of_the_policy_and_name_a_line_that_decides(
    policy: Policy, inventory: Inventory, data: st.DataObject
) -> None:
    assume(small(policy, inventory))
    policy = numbered(policy)
    facts = replace(facts_for(inventory), br_netfilter=(True, True))
    endpoints = [e for c in inventory.containers for e in inventory.endpoints(c)]
    for address in {a: None for e in endpoints for a in e.addresses}:
        source = data.draw(st.sampled_from(SOURCES[address.version]))
        interface = data.draw(st.sampled_from(INTERFACES))
        port = data.draw(st.sampled_from((80, 443, 5432, 8080)))
        target = f"{bracketed(address)}:{port}"
        found = explain(policy, inventory, facts, f"{source}@{interface}", target)
        question = Question("direct", interface, address, "tcp", port)
        if found.rows[0].path == "no path":
            continue  # link-local, from another link
        meant = ip_address(source) in allowed_sources(policy, inventory, facts, question)
        assert [row.allowed for row in found.rows] == [meant], found.rows
        reason = found.rows[0].reason
        assert reason not in ("allowed", "denied")
        if "config.toml:" in reason:
            alone = decided_alone(policy, reason)
            sources = allowed_sources(alone, inventory, facts, question)
            assert (ip_address(source) in sources) == meant, reason


@profile()
@given(policies, inventories(), st.data())
def test_host_port_rows_agree_with_the_meaning_of_the_policy(
    policy: Policy, inventory: Inventory, data: st.DataObject
) -> None:
    assume(small(policy, inventory))
    policy = numbered(policy)
    facts = replace(facts_for(inventory), br_netfilter=(True, True), forwards=())
    hosts = sorted((a for a in facts.addresses if a.version == 4), key=int)
    for _ in range(4):
        address = data.draw(st.sampled_from(hosts))
        source = data.draw(st.sampled_from(SOURCES[4]))
        interface = data.draw(st.sampled_from(INTERFACES))
        port = data.draw(st.sampled_from((80, 443, 53, 8080, 9050)))
        found = explain(policy, inventory, facts, f"{source}@{interface}", f"{address}:{port}")
        if found.rows[0].path == "no path":
            continue
        question = Question("host", interface, address, "tcp", port)
        meant = ip_address(source) in allowed_sources(policy, inventory, facts, question)
        assert {row.allowed for row in found.rows} == {meant}, found.rows
        assert "allowed" not in reasons(found)


@profile()
@given(policies, inventories(), st.data())
def test_rows_of_nat_that_docker_did_not_make_agree_with_the_meaning_of_the_policy(
    policy: Policy, inventory: Inventory, data: st.DataObject
) -> None:
    assume(small(policy, inventory))
    facts = replace(facts_for(inventory), br_netfilter=(True, True))
    led = [f for f in facts.forwards if f.to is not None and f.family == 4 and f.address is None]
    for forward in led:
        source = data.draw(st.sampled_from(SOURCES[4]))
        interface = data.draw(st.sampled_from(INTERFACES))
        found = explain(policy, inventory, facts, f"{source}@{interface}", "192.0.2.10:9999")
        assert forward.to is not None
        behind = (forward.to, 9999)
        question = Question("host", interface, OWN_ADDRESSES[0], "tcp", 9999, behind)
        meant = ip_address(source) in allowed_sources(policy, inventory, facts, question)
        assert {row.allowed for row in found.rows} == {meant}, found.rows
