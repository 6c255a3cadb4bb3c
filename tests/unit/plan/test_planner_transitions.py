"""No state on the way from one ruleset to another opens or cuts more than the change itself."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_network
from itertools import islice
from random import Random

import pytest
from hypothesis import given, strategies as st

from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.net import Port
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    Deny,
    InterfaceSource,
    Policy,
    PortRange,
    PublishedSpec,
    Selector,
    SelectorSource,
)
from dockerfw.rules.names import topology_set
from dockerfw.rules.ruleset import Ruleset
from dockerfw.rules.walk import Packet
from tests.build import ORIGIN
from tests.questions import OWN_ADDRESSES, facts_for
from tests.replay import NO_SEAL, Replay, Tables, foreign
from tests.situations import (
    Situation,
    Way,
    commit,
    docker_tables,
    interesting_probes,
    passes,
    planned,
    together,
)
from tests.strategies import changed_policies, inventories, policies, profile

# --- from one state to another -------------------------------------------------------------------

_FOREIGN_RULES = {
    "FORWARD": (
        "-i eth0 -j ACCEPT",
        "-j ufw-before-forward",
        "-s 203.0.113.0/24 -j DROP",
        "-j DOCKER-FORWARD",
    ),
    "INPUT": ("-p tcp -m tcp --dport 22 -j ACCEPT", "-j ufw-before-input", "-j LOG"),
    "DOCKER-USER": ("-j RETURN", "-i eth0 -j ACCEPT"),
    "PREROUTING": ("-j MARK --set-xmark 0x1/0xff", "-i wg0 -j ACCEPT"),
}


@st.composite
def foreign_tables(draw: st.DrawFn) -> Tables:
    """One family's tables before dockerfw came: with Docker's chains or without, and others'."""
    rules = {
        chain: foreign(*draw(st.lists(st.sampled_from(pool), max_size=3)))
        for chain, pool in _FOREIGN_RULES.items()
    }
    chains = {"INPUT": rules["INPUT"], "FORWARD": rules["FORWARD"], "OUTPUT": []}
    chains |= {
        "DOCKER-FORWARD": [],
        "ufw-before-forward": foreign("-j ACCEPT"),
        "ufw-before-input": [],
    }
    if draw(st.booleans()):
        chains["DOCKER-USER"] = rules["DOCKER-USER"]
        place = draw(st.integers(0, len(rules["FORWARD"])))
        chains["FORWARD"].insert(place, *foreign("-j DOCKER-USER"))
    return {"mangle": {"PREROUTING": rules["PREROUTING"], "INPUT": []}, "filter": chains}


@profile(share=0.4)
@given(policies, inventories(), foreign_tables(), foreign_tables())
def test_a_second_plan_is_empty_and_foreign_rules_stay(
    policy: Policy, inventory: Inventory, ipv4: Tables, ipv6: Tables
) -> None:
    situation = Situation(policy, inventory, facts_for(inventory))
    ruleset = situation.ruleset()
    assert ruleset == situation.ruleset()
    kernel = Replay({4: ipv4, 6: ipv6}, [ruleset], situation.facts.addresses)
    before = kernel.foreign_rules()
    for done in kernel.run(planned(kernel, situation, ruleset).steps, ruleset.seal):
        now = kernel.foreign_rules()
        assert {place: now.get(place) for place in before} == before, done
        assert all(not rules for place, rules in now.items() if place not in before), done
    assert planned(kernel, situation, ruleset).steps == ()


NO_DOCKERFW = Ruleset((), (), NO_SEAL, 0, 0)


@profile(share=0.3)
@given(
    changed_policies(),
    inventories(),
    st.one_of(st.none(), inventories()),
    st.integers(0, 30),
    st.integers(0, 2**32),
)
def test_no_state_on_the_way_opens_or_cuts_more_than_the_change_itself(
    policies: tuple[Policy | None, Policy],
    inventory: Inventory,
    new_inventory: Inventory | None,
    killed_after: int,
    seed: int,
) -> None:
    """Also when the commit is killed at any point, and another one begins where it stopped."""
    old_policy, policy = policies
    assert_never_more_open_or_cut(
        (old_policy, inventory), (policy, new_inventory or inventory), Random(seed), killed_after
    )


def assert_never_more_open_or_cut(
    old_pair: tuple[Policy | None, Inventory],
    new_pair: tuple[Policy, Inventory],
    random: Random,
    killed_after: int = 0,
) -> None:
    old_policy, old_inventory = old_pair
    policy, inventory = new_pair
    facts = facts_for(old_inventory, inventory)
    old = Situation(old_policy or policy, old_inventory, facts)
    new = Situation(policy, inventory, facts)
    after = new.ruleset()
    before = old.ruleset() if old_policy else NO_DOCKERFW
    kernel = Replay({4: docker_tables(), 6: docker_tables()}, [before, after], facts.addresses)
    if old_policy:
        commit(kernel, old, before)
    probes = interesting_probes(old, new, before, after, random)
    here = together(old_inventory, inventory)

    def check(done: str) -> None:
        now = kernel.ruleset()
        for probe in probes:
            fault = probe.fault(passes(now, probe.way, probe.source, facts, here)[0])
            assert fault is None, f"after {done}\n{fault}"

    for done in islice(kernel.run(planned(kernel, new, after).steps, after.seal), killed_after):
        check(done)
    for done in kernel.run(planned(kernel, new, after).steps, after.seal):
        check(f"{done} (second run)")
    assert planned(kernel, new, after).steps == ()
    assert set(kernel.sets) == {ipset.name for ipset in after.sets}


# --- faults that were found ----------------------------------------------------------------------

_FRONT = Network("id-front", "front", "bridge", "br-front", (ip_network("172.18.0.0/24"),))
_WEB = Container(
    "id-web",
    "web",
    endpoints=(Endpoint("front", "id-front", IPv4Address("172.18.0.2")),),
    ports=(PublishedPort(IPv4Address("0.0.0.0"), 80, 80, "tcp"),),
)
_AGENT = Container("id-agent", "agent", host_network=True)
_ONE_HOST = Inventory((_WEB, _AGENT), (_FRONT,))
_TO_WEB = (Selector("container", "web"),)
_PORT_80 = (PortRange("tcp", 80, 80),)
_HTTPS = (PublishedSpec(PortRange("tcp", 443, 443)),)
_NO_HTTP_FROM_WEB, _NO_HTTPS_FROM_WEB = (
    Deny(ORIGIN, (SelectorSource(_TO_WEB[0]),), published=ports)
    for ports in ((PublishedSpec(_PORT_80[0]),), _HTTPS)
)
_WG0, _IFACE_DENY = InterfaceSource("wg0"), Deny(ORIGIN, (InterfaceSource("wg0"),), _TO_WEB)
_ELSEWHERE = AddressSource(ip_network("203.0.113.0/24"))
_SSH = Way(
    "input",
    Packet(
        interface="eth0",
        source=IPv4Address("203.0.113.9"),
        destination=OWN_ADDRESSES[0],
        protocol="tcp",
        port=22,
        host_port=(OWN_ADDRESSES[0], 22),
    ),
)
_KEPT = Deny(ORIGIN, (AddressSource(ip_network("198.51.100.7/32")),), _TO_WEB, _PORT_80)


@pytest.mark.parametrize("seed", range(4))
def test_what_a_bridge_carries_to_itself_stays_closed_while_its_network_and_the_baseline_go(
    seed: int,
) -> None:
    assert_never_more_open_or_cut(
        (Policy(), _ONE_HOST), (Policy(baseline=()), Inventory()), Random(seed)
    )


@pytest.mark.parametrize(
    "old, new",
    [
        pytest.param(
            Policy(
                allows=(Allow(ORIGIN, (_WG0,), _TO_WEB, _PORT_80),),
                denies=(_KEPT, Deny(ORIGIN, (_ELSEWHERE,), _TO_WEB, _PORT_80)),
            ),
            Policy(denies=(_KEPT,)),
            id="a deny's elements stay until the allow rule that they beat is gone",
        ),
        pytest.param(
            Policy(
                allows=(Allow(ORIGIN, (_ELSEWHERE,), _TO_WEB, _PORT_80),), denies=(_IFACE_DENY,)
            ),
            Policy(allows=(Allow(ORIGIN, (_KEPT.sources[0],), _TO_WEB, _PORT_80),)),
            id="a deny rule stays until the elements that it beats are gone",
        ),
        pytest.param(
            Policy(baseline=(SelectorSource(_TO_WEB[0]),)),
            Policy(allows=(Allow(ORIGIN, (SelectorSource(_TO_WEB[0]),), published=_HTTPS),)),
            id="a container source stays until the baseline lets all bridges in",
        ),
        pytest.param(
            Policy(),
            Policy(baseline=(SelectorSource(_TO_WEB[0]),)),
            id="a container source is there before the baseline lets no bridge in any more",
        ),
        pytest.param(
            Policy(baseline=()),
            Policy(
                allows=(Allow(ORIGIN, (_ELSEWHERE,), (Selector("container", "agent"),), _PORT_80),)
            ),
            id="the baseline opens no host-network port that a rule names in the same moment",
        ),
        pytest.param(
            Policy(denies=(_NO_HTTP_FROM_WEB, _NO_HTTPS_FROM_WEB)),
            Policy(baseline=(), denies=(_NO_HTTPS_FROM_WEB,)),
            id="a deny's elements stay until the baseline lets no bridge in any more",
        ),
    ],
)
def test_fault_in_the_order_of_writes(old: Policy, new: Policy) -> None:
    for seed in range(4):
        assert_never_more_open_or_cut((old, _ONE_HOST), (new, _ONE_HOST), Random(seed))


def test_a_host_network_port_that_is_published_now_stays_closed_while_the_baseline_goes() -> None:
    rule = (Allow(ORIGIN, (_ELSEWHERE,), (Selector("container", "agent"),), _PORT_80),)
    unpublished = Inventory((replace(_WEB, ports=()), _AGENT), (_FRONT,))
    for seed in range(8):
        assert_never_more_open_or_cut(
            (Policy(allows=rule), unpublished),
            (Policy(baseline=(), allows=rule), _ONE_HOST),
            Random(seed),
        )


# --- sets of another type under our names --------------------------------------------------------


def _is_guarded(host: Situation, ruleset: Ruleset, way: Way) -> bool:
    """Whether it is sent to a container or to a guarded port of this host."""
    to = way.packet
    if way.hook == "forward":
        return host.knows(to.destination)
    port = (to.destination, Port(to.protocol, to.port))
    return ruleset.contains(topology_set("pub", 4 if to.destination.version == 4 else 6), port)


@pytest.mark.parametrize("topic", ["guarded", "pub", "own", "port", "allow"])
@pytest.mark.parametrize("killed_after", [0, 2, 5])
def test_nothing_opens_while_a_broken_set_is_replaced_without_a_seal(
    topic: str, killed_after: int
) -> None:
    """Without nf_tables the chains alone close docker-proxy's ports and the containers."""
    allow = Allow(ORIGIN, (_ELSEWHERE,), (*_TO_WEB, Selector("container", "agent")), _PORT_80)
    policy = Policy(baseline=(), allows=(allow,))
    facts = replace(facts_for(_ONE_HOST), nf_tables=False)
    host = Situation(policy, _ONE_HOST, facts)
    ruleset = host.ruleset()
    kernel = Replay({4: docker_tables(), 6: docker_tables()}, [ruleset], facts.addresses)
    commit(kernel, host, ruleset)
    broken = [name for name in kernel.sets if name.startswith(f"dockerfw-{topic}")]
    assert broken
    for name in broken:
        kernel.sets[name].timeout = True
    probes = interesting_probes(host, host, ruleset, ruleset, Random(1))
    closed = [p for p in probes if not p.before and _is_guarded(host, ruleset, p.way)]
    assert {probe.way.hook for probe in closed} == {"input", "forward"}
    met = 0

    def check(done: str) -> None:
        now = kernel.ruleset()
        for probe in closed:
            fault = probe.fault(passes(now, probe.way, probe.source, facts, _ONE_HOST)[0])
            assert fault is None, f"after {done}\n{fault}"
        assert passes(now, _SSH, IPv4Address("203.0.113.9"), facts, _ONE_HOST)[0], done

    for done in islice(
        kernel.run(planned(kernel, host, ruleset).steps, ruleset.seal), killed_after
    ):
        check(done)
        met += 1
    for done in kernel.run(planned(kernel, host, ruleset).steps, ruleset.seal):
        check(done)
        met += 1
    assert met > killed_after
    assert planned(kernel, host, ruleset).steps == ()
