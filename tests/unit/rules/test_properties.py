from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_network
from itertools import islice
from random import Random

import pytest
from hypothesis import given, strategies as st

from dockerfw.model.host import HostFacts
from dockerfw.model.inventory import Container, Endpoint, Inventory, Network, PublishedPort
from dockerfw.model.net import Address, Family, Port
from dockerfw.model.policy import (
    AddressSource,
    Allow,
    Deny,
    InterfaceSource,
    Policy,
    PortKeyword,
    PortRange,
    PublishedSpec,
    Selector,
    SelectorSource,
)
from dockerfw.plan.planner import Plan, SealUpdate, plan
from dockerfw.rules.compiler import compile_ruleset
from dockerfw.rules.ruleset import Hook, Packet, Rule, Ruleset, end_of
from tests.build import ORIGIN
from tests.oracle import TODAY, Question, allowed_sources, inside_sources, is_ours
from tests.questions import as_address, cut_points, facts_for, questions
from tests.replay import NO_SEAL, RELEASE, Replay, Tables, seal_passes
from tests.strategies import ENDS, changed_policies, fitting, inventories, policies, profile

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

    def knows(self, address: Address) -> bool:
        """Whether this is an address of a Docker network."""
        subnets = [subnet for n in self.inventory.bridges() for subnet in n.subnets]
        return any(address in subnet for subnet in subnets if subnet.version == address.version)

    def judges(self, question: Question) -> bool:
        return is_ours(self.policy, self.inventory, self.facts, question)

    def questions(self, random: Random, count: int) -> list[Question]:
        return questions(self.policy, self.inventory, self.facts, random, count)


def passes(
    ruleset: Ruleset, way: Way, source: Address, facts: HostFacts, bridges: Inventory
) -> tuple[bool, tuple[Rule, ...]]:
    """Whether chains and seal let it pass on a host with these bridges, and the rules it met."""
    packet = way.from_(source)
    outcome = ruleset.walk(way.hook, packet, facts.addresses)
    sealed = seal_passes(ruleset.seal, bridges, way.hook, packet, bit=outcome.has_bit)
    return outcome.passed and sealed, outcome.path


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
    for question in situation.questions(Random(seed), 12):
        assert_agrees(situation, ruleset, question)


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
        chain: draw(st.lists(st.sampled_from(pool), max_size=3))
        for chain, pool in _FOREIGN_RULES.items()
    }
    chains = {"INPUT": rules["INPUT"], "FORWARD": rules["FORWARD"], "OUTPUT": []}
    chains |= {"DOCKER-FORWARD": [], "ufw-before-forward": ["-j ACCEPT"], "ufw-before-input": []}
    if draw(st.booleans()):
        chains["DOCKER-USER"] = rules["DOCKER-USER"]
        chains["FORWARD"].insert(draw(st.integers(0, len(rules["FORWARD"]))), "-j DOCKER-USER")
    return {"mangle": {"PREROUTING": rules["PREROUTING"], "INPUT": []}, "filter": chains}


def _plan(kernel: Replay, situation: Situation, ruleset: Ruleset) -> Plan:
    gone = kernel.seal.guarded - ruleset.seal.guarded
    released = replace(kernel.seal, guarded=kernel.seal.guarded - gone)
    seal = SealUpdate(
        release=RELEASE if gone else None, rest="the seal" if released != ruleset.seal else None
    )
    return plan(kernel.state(), ruleset, situation.facts, seal)


def _commit(kernel: Replay, situation: Situation, ruleset: Ruleset) -> None:
    for _ in kernel.run(_plan(kernel, situation, ruleset).steps, ruleset.seal):
        pass


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
    for done in kernel.run(_plan(kernel, situation, ruleset).steps, ruleset.seal):
        now = kernel.foreign_rules()
        assert {place: now.get(place) for place in before} == before, done
        assert all(not rules for place, rules in now.items() if place not in before), done
    assert _plan(kernel, situation, ruleset).steps == ()


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
        what = f"{self.way.hook} {self.way.from_(self.source)}"
        if now and not (self.before or self.after):
            return f"{what}\npasses, and neither did before nor will after"
        if self.steady and self.before and self.after and not now:
            return f"{what}\nis dropped, and did pass before and will after"
        return None


def _interesting_probes(
    old: Situation, new: Situation, before: Ruleset, after: Ruleset, random: Random
) -> list[Probe]:
    """One packet for each pair of ways through the old and the new rules that any can take.

    Left out are addresses of a Docker network that comes or goes on the packet's own bridge:
    they change sides, and no order of writes judges them by both sides' rules at once.
    """
    here = _together(old.inventory, new.inventory)
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


def _together(one: Inventory, other: Inventory) -> Inventory:
    """The bridges of both: what stands on the host while Docker goes from one to the other."""
    return Inventory(networks=(*one.networks, *other.networks))


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
    kernel = Replay({4: _docker(), 6: _docker()}, [before, after], facts.addresses)
    if old_policy:
        _commit(kernel, old, before)
    probes = _interesting_probes(old, new, before, after, random)
    here = _together(old_inventory, inventory)

    def check(done: str) -> None:
        now = kernel.ruleset()
        for probe in probes:
            fault = probe.fault(passes(now, probe.way, probe.source, facts, here)[0])
            assert fault is None, f"after {done}\n{fault}"

    for done in islice(kernel.run(_plan(kernel, new, after).steps, after.seal), killed_after):
        check(done)
    for done in kernel.run(_plan(kernel, new, after).steps, after.seal):
        check(f"{done} (second run)")
    assert _plan(kernel, new, after).steps == ()
    assert set(kernel.sets) == {ipset.name for ipset in after.sets}


def _docker() -> Tables:
    return {
        "mangle": {"PREROUTING": [], "INPUT": []},
        "filter": {"INPUT": [], "FORWARD": ["-j DOCKER-USER"], "OUTPUT": [], "DOCKER-USER": []},
    }


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
_KEPT = Deny(ORIGIN, (AddressSource(ip_network("198.51.100.7/32")),), _TO_WEB, _PORT_80)


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
